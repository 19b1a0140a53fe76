//! Kinds of sentences as enums that know all of their kinds and the name of each.

/// Makes an enum of kinds with `ALL` and `name`. Behind the semicolon stand kinds that hold one of another enum, with a
/// function that gives the name of that.
macro_rules! kinds {
    (
        $(#[$of:meta])*
        $kinds:ident
        $($(#[$about:meta])* $kind:ident $name:literal,)+
        $(; $($(#[$more:meta])* $with:ident($inner:ident) $inner_name:ident,)+)?
    ) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $kinds {
            $($(#[$about])* $kind,)+
            $($($(#[$more])* $with($inner),)+)?
        }

        impl $kinds {
            /// Every kind.
            #[must_use]
            pub fn all() -> Vec<Self> {
                let plain = [$(Self::$kind),+].into_iter();
                $($(let plain = plain.chain($inner::all().into_iter().map(Self::$with));)+)?
                plain.collect()
            }

            /// The name of the kind in documents, in snake case.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                    $($(Self::$with(inner) => $inner_name(inner),)+)?
                }
            }
        }
    };
}

pub(super) use kinds;
