//! What somebody planted in the cache: what symbolic links lead to is not read, written or removed, and
//! what has no end keeps nobody waiting.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use netloom_runtime::{CacheError, Error};
use support::{Host, chain, host_with_chain, rt};

const CACHED: &str = "cache/results/net-c1-eth0";
const VICTIM: &str = "victim";

/// Puts a link to the victim in the place of a file or directory of the cache.
fn plant(host: &Host, place: &str) {
    let path = host.path(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    } else {
        drop(fs::remove_file(&path));
    }
    symlink(host.path(VICTIM), path).unwrap();
}

#[test]
fn a_link_in_the_place_of_an_attachment_is_replaced_by_add_and_removed_by_del() {
    let host = host_with_chain();
    let (cni, list) = (host.cni(), chain("net", "1.1.0"));
    host.write(VICTIM, "precious");
    plant(&host, CACHED);
    cni.add(&list, &rt("c1")).unwrap();
    assert!(!host.path(CACHED).is_symlink() && host.read(CACHED).contains("cniCacheV1"));
    // The very content that DEL would read the result from.
    host.write(VICTIM, &host.read(CACHED));
    plant(&host, CACHED);
    let error = cni.cached_result(&list, &rt("c1")).unwrap_err();
    let Error::CachedResult {
        cause: CacheError::Corrupt { problem, .. },
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(problem, "it is a symbolic link, which is not followed");
    assert_eq!(cni.cached_attachments(None).unwrap(), []);
    assert_eq!(cni.survey_cache().unwrap().unreadable.len(), 1);
    let before = host.read(VICTIM);
    cni.del(&list, &rt("c1")).unwrap();
    assert_eq!(host.cached(), [""; 0]);
    assert_eq!(host.read(VICTIM), before);
}

#[test]
fn nothing_is_written_through_a_link_in_the_place_of_a_directory_or_lock() {
    for place in ["cache/results", "cache/locks", "cache/locks/net.lock"] {
        let host = host_with_chain();
        fs::create_dir(host.path(VICTIM)).unwrap();
        host.write("victim/kept", "precious");
        plant(&host, place);
        let (cni, list) = (host.cni(), chain("net", "1.1.0"));
        let error = cni.add(&list, &rt("c1")).unwrap_err().to_string();
        assert!(error.contains("symbolic link"), "{place}: {error}");
        // It may do without what the cache would have told.
        if let Err(error) = cni.del(&list, &rt("c1")) {
            assert!(
                error.to_string().contains("symbolic link"),
                "{place}: {error}"
            );
        }
        let kept: Vec<_> = fs::read_dir(host.path(VICTIM)).unwrap().collect();
        assert_eq!(kept.len(), 1, "{place}");
        assert_eq!(host.read("victim/kept"), "precious");
    }
}

/// A fifo waits for somebody at its other end, the device is endless. Only root can make devices.
#[test]
fn neither_a_fifo_nor_a_device_in_the_cache_keeps_anybody_waiting() {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let kinds = [
        (FileType::Fifo, 0),
        (FileType::CharacterDevice, makedev(1, 5)),
    ];
    for (kind, device) in kinds {
        let host = host_with_chain();
        let (cni, list) = (host.cni(), chain("net", "1.1.0"));
        let make = |place: &str| {
            let path = host.path(place);
            drop(fs::remove_file(&path));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            mknodat(CWD, &path, kind, Mode::RUSR | Mode::WUSR, device).is_ok()
        };
        cni.add(&list, &rt("c1")).unwrap();
        if !make(CACHED) {
            assert!(kind == FileType::CharacterDevice, "a fifo can be made");
            continue;
        }
        let error = cni.cached_result(&list, &rt("c1")).unwrap_err();
        assert!(error.to_string().contains("regular file"), "{error}");
        assert_eq!(cni.cached_attachments(None).unwrap(), []);
        assert_eq!(cni.survey_cache().unwrap().unreadable.len(), 1);
        cni.del(&list, &rt("c1")).unwrap();
        assert_eq!(host.cached(), [""; 0]);
        assert!(make("cache/locks/net.lock"));
        // Without a lock ADD may fail, and DEL goes on.
        let _ = cni.add(&list, &rt("c1"));
        cni.del(&list, &rt("c1")).unwrap();
    }
}
