//! The documents that are the JSON contract, and their drawing as JSON and as tables.
