//! A bundle with one member changed.

/// The bundle with its manifest, or its marker, replaced.
pub fn rewritten(written: &[u8], name: &str, content: &[u8]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for entry in tar::Archive::new(written).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut header = entry.header().clone();
        if entry.path().unwrap().to_str() == Some(name) {
            header.set_size(content.len() as u64);
            header.set_cksum();
            out.append(&header, content).unwrap();
        } else {
            out.append(&header, &mut entry).unwrap();
        }
    }
    out.into_inner().unwrap()
}
