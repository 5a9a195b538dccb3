//! etcd's own JSON over HTTP/1.1, on one connection that stays: enough for transactions.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// etcd takes so many operations in one transaction.
const AT_ONCE: usize = 128;

pub(super) struct Gateway {
    stream: BufReader<TcpStream>,
}

impl Gateway {
    pub(super) fn connect(url: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("a URL of http")?;
        let stream = TcpStream::connect(address).with_context(|| url.to_owned())?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Writes a key that is not there, in one transaction: all that a claim asks of the store.
    pub(super) fn claim(&mut self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (base64(key.as_bytes()), base64(value.as_bytes()));
        let answer = self.post(
            "/v3/kv/txn",
            &json!({
                "compare": [{"key": key, "target": "VERSION", "result": "EQUAL", "version": "0"}],
                "success": [{"request_put": {"key": key, "value": value}}],
            }),
        )?;
        ensure!(answer["succeeded"] == true, "the key is there: {answer}");
        Ok(())
    }

    /// Writes them, many at once.
    pub(super) fn put(&mut self, pairs: &[(String, String)]) -> Result<()> {
        for some in pairs.chunks(AT_ONCE) {
            let puts = some.iter().map(|(key, value)| {
                let (key, value) = (base64(key.as_bytes()), base64(value.as_bytes()));
                json!({"request_put": {"key": key, "value": value}})
            });
            let puts: Vec<Value> = puts.collect();
            self.post("/v3/kv/txn", &json!({ "success": puts }))?;
        }
        Ok(())
    }

    /// How often the store was changed so far.
    pub(super) fn revision(&mut self) -> Result<u64> {
        let key = base64(b"/");
        let answer = self.post("/v3/kv/range", &json!({"key": key, "count_only": true}))?;
        let revision = answer["header"]["revision"].as_str();
        let revision = revision.with_context(|| format!("no revision in {answer}"))?;
        Ok(revision.parse()?)
    }

    fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            match line.split_once(": ") {
                Some(("content-length", number)) => length = Some(number.parse()?),
                Some(("transfer-encoding", "chunked")) => chunked = true,
                Some(_) => {}
                None => break,
            }
        }
        let answer = match length {
            Some(length) => self.exactly(length)?,
            None if chunked => self.chunks()?,
            None => bail!("an answer without an end: {status}"),
        };
        let text = String::from_utf8_lossy(&answer);
        ensure!(status.contains(" 200 "), "{path}: {status}: {text}");
        serde_json::from_slice(&answer).with_context(|| format!("{path} answers {text}"))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "etcd hung up");
        Ok(line.trim_end().to_owned())
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line()?, 16)?;
            all.extend(self.exactly(length)?);
            self.line()?;
            if length == 0 {
                return Ok(all);
            }
        }
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0_usize, |number, at| {
            number << 8 | usize::from(three.get(at).copied().unwrap_or(0))
        });
        for digit in 0..4 {
            text.push(match digit <= three.len() {
                true => char::from(DIGITS[number >> (18 - 6 * digit) & 63]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_in_the_rfc() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }
}
