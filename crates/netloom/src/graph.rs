//! A picture of the host's networks: what is there, as text, SVG, one HTML page, or JSON.
//!
//! [`scene`] makes a [`model`] of what the kernel tells and what is known of networks and pods;
//! [`layout`] gives each box its place, [`svg`] and [`text`] draw it.

mod html;
mod layout;
pub(crate) mod model;
mod overlay;
pub(crate) mod places;
pub(crate) mod scene;
mod svg;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use html::page;
pub(crate) use overlay::{Network, Overlay, Pod, Problem};
pub(crate) use svg::picture;
pub(crate) use text::drawing;
