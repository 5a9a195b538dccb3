//! The configuration on stdin, as far as it is the same for every plugin.

use netloom_spec::{Error, NetworkName, PluginConf, code, decode};
use std::io::Read;

/// How the reference begins to say that a request is not JSON.
const UNREADABLE: &str = "error unmarshall network config";

/// How large a configuration may be, in MiB. One with 65,535 port mappings and the result of ADD has
/// some 10; what is parsed takes several times as much memory.
const LARGEST_MIB: u64 = 32;

/// All of stdin, which must not be larger than that.
pub(crate) fn read(stdin: &mut dyn Read) -> Result<Vec<u8>, Error> {
    let limit = LARGEST_MIB << 20;
    // Room for most of them, so that one call reads all and another finds the end.
    let mut bytes = Vec::with_capacity(4096);
    let read = stdin.take(limit + 1).read_to_end(&mut bytes);
    let length =
        read.map_err(|cause| Error::new(code::IO, format!("error reading from stdin: {cause}")))?;
    if length as u64 > limit {
        let problem = format!("the configuration on stdin is larger than {LARGEST_MIB} MiB");
        return Err(Error::new(code::DECODING, problem));
    }
    Ok(bytes)
}

/// The configuration and the name of its network.
pub(crate) fn parse(bytes: &[u8]) -> Result<(PluginConf, NetworkName), Error> {
    // Runtimes know the reference's words, whose library says others of a configuration on disk.
    let raw = decode::parse_object(bytes).map_err(|fault| fault.context(UNREADABLE))?;
    let conf = PluginConf::from_map(raw)?;
    if conf.name().is_empty() {
        return Err(Error::new(code::INVALID_CONFIG, "missing network name"));
    }
    let network = NetworkName::new(conf.name())?;
    Ok((conf, network))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::repeat;

    #[test]
    fn a_configuration_without_end_is_refused_in_bounded_memory() {
        let error = read(&mut repeat(b' ')).unwrap_err();
        assert_eq!(error.code, code::DECODING);
        assert_eq!(
            error.to_string(),
            "the configuration on stdin is larger than 32 MiB"
        );
    }

    #[test]
    fn the_largest_configuration_is_read() {
        let limit = LARGEST_MIB << 20;
        let whole = read(&mut repeat(b' ').take(limit)).unwrap();
        assert_eq!(whole.len() as u64, limit);
    }
}
