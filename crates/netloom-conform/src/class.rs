//! What plugins do, and how binding a case is.

/// How binding what a case asks for is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The specification demands it, or runtimes break without it.
    Must,
    /// The specification recommends it, or the reference plugins do it.
    Should,
    /// Beyond that: what a careful plugin does.
    Extra,
}

impl Level {
    /// Its word: `must`, `should`, `extra`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Must => "must",
            Self::Should => "should",
            Self::Extra => "extra",
        }
    }
}

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It makes an interface.
    Interface,
    /// It works on what the plugins before it made, and hands their result on.
    Chained,
    /// It gives addresses to a plugin that asks for them.
    Ipam,
    /// It has another plugin, the `delegate`, make the interface.
    Meta,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Interface, Self::Chained, Self::Ipam, Self::Meta];

    /// Its word: `interface`, `chained`, `ipam`, `meta`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Interface => "interface",
            Self::Chained => "chained",
            Self::Ipam => "ipam",
            Self::Meta => "meta",
        }
    }

    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Which classes a case is for, a bit each.
pub(crate) type Classes = u8;
pub(crate) const I: Classes = Class::Interface.bit();
pub(crate) const C: Classes = Class::Chained.bit();
pub(crate) const P: Classes = Class::Ipam.bit();
pub(crate) const M: Classes = Class::Meta.bit();
/// Those that make interfaces.
pub(crate) const IM: Classes = I | M;
pub(crate) const ALL: Classes = I | C | P | M;
