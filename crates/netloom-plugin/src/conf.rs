//! The configuration on stdin, as far as it is the same for every plugin.

use netloom_spec::{Error, NetworkName, PluginConf, code};
use std::io::Read;

/// All of stdin.
pub(crate) fn read(stdin: &mut dyn Read) -> Result<Vec<u8>, Error> {
    // Room for most of them, so that one call reads all and another finds the end.
    let mut bytes = Vec::with_capacity(4096);
    stdin
        .read_to_end(&mut bytes)
        .map_err(|cause| Error::new(code::IO, format!("error reading from stdin: {cause}")))?;
    Ok(bytes)
}

/// The configuration and the name of its network.
pub(crate) fn parse(bytes: &[u8]) -> Result<(PluginConf, NetworkName), Error> {
    let conf = PluginConf::parse(bytes)?;
    if conf.name().is_empty() {
        return Err(Error::new(code::INVALID_CONFIG, "missing network name"));
    }
    let network = NetworkName::new(conf.name())?;
    Ok((conf, network))
}
