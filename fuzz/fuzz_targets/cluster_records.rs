//! The records of the cluster's store and the files of a node: what was understood is read again as it was
//! written.
#![no_main]

use netloom_cluster::disk::{ClusterFile, GrantsFile};
use netloom_cluster::key;
use netloom_cluster::record::{AliveRecord, BlockRecord, NodeRecord, WantRecord};

macro_rules! read_again {
    ($bytes:expr, $($kind:ident),*) => {$(
        match $kind::parse($bytes) {
            Ok(read) => assert_eq!($kind::parse(&read.to_json()), Ok(read)),
            Err(error) => assert!(!error.to_string().contains('\n')),
        }
    )*};
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    read_again!(
        bytes,
        BlockRecord,
        NodeRecord,
        AliveRecord,
        WantRecord,
        GrantsFile,
        ClusterFile
    );
    if let Ok(text) = str::from_utf8(bytes)
        && let Some((space, block)) = key::parse_block(text)
    {
        assert_eq!(key::block(&space, block), text);
    }
});
