//! Addresses of the internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::fixed::fixed;
use crate::codec::{CodecError, Key, Value};

/// A byte that is 4 or 6, then the octets; zeros come after those of version 4.
const IP_BYTES: usize = 17;
/// An IP address, a port of 2 bytes, and for version 6 flow and scope of 4 bytes.
const SOCKET_BYTES: usize = IP_BYTES + 10;

fixed! { Ipv4Addr, 4, "ipv4", from_v4, to_v4 }
fixed! { Ipv6Addr, 16, "ipv6", from_v6, to_v6 }
fixed! { IpAddr, IP_BYTES, "ip", from_ip, to_ip }
fixed! { SocketAddr, SOCKET_BYTES, "socket address", from_socket, to_socket }

impl Key for Ipv4Addr {}
impl Key for Ipv6Addr {}
impl Key for IpAddr {}
impl Key for SocketAddr {}

#[inline]
fn from_v4(item: Ipv4Addr) -> Result<[u8; 4], CodecError> {
    Ok(item.octets())
}

#[inline]
fn to_v4(bytes: [u8; 4]) -> Result<Ipv4Addr, CodecError> {
    Ok(Ipv4Addr::from(bytes))
}

#[inline]
fn from_v6(item: Ipv6Addr) -> Result<[u8; 16], CodecError> {
    Ok(item.octets())
}

#[inline]
fn to_v6(bytes: [u8; 16]) -> Result<Ipv6Addr, CodecError> {
    Ok(Ipv6Addr::from(bytes))
}

fn from_ip(item: IpAddr) -> Result<[u8; IP_BYTES], CodecError> {
    let mut bytes = [0; IP_BYTES];
    match item {
        IpAddr::V4(address) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes[0] = 6;
            bytes[1..].copy_from_slice(&address.octets());
        }
    }
    Ok(bytes)
}

fn to_ip(bytes: [u8; IP_BYTES]) -> Result<IpAddr, CodecError> {
    let [version, octets @ ..] = bytes;
    match (version, octets) {
        (4, [a, b, c, d, zeros @ ..]) if zeros == [0; 12] => Ok(IpAddr::from([a, b, c, d])),
        (4, _) => Err(CodecError::malformed("ip", "version 4 with more than 4 octets")),
        (6, octets) => Ok(IpAddr::from(octets)),
        _ => Err(CodecError::malformed("ip", format_args!("version {version} is not 4 or 6"))),
    }
}

fn from_socket(item: SocketAddr) -> Result<[u8; SOCKET_BYTES], CodecError> {
    let mut bytes = [0; SOCKET_BYTES];
    bytes[..IP_BYTES].copy_from_slice(&from_ip(item.ip())?);
    bytes[17..19].copy_from_slice(&item.port().to_le_bytes());
    if let SocketAddr::V6(address) = item {
        bytes[19..23].copy_from_slice(&address.flowinfo().to_le_bytes());
        bytes[23..].copy_from_slice(&address.scope_id().to_le_bytes());
    }
    Ok(bytes)
}

fn to_socket(bytes: [u8; SOCKET_BYTES]) -> Result<SocketAddr, CodecError> {
    let (ip, rest) = bytes.split_at(IP_BYTES);
    let (port, rest) = rest.split_at(2);
    let (flow, scope) = rest.split_at(4);
    let (port, flow, scope) = (u16::view(port)?, u32::view(flow)?, u32::view(scope)?);
    match IpAddr::view(ip)? {
        IpAddr::V6(ip) => Ok(SocketAddrV6::new(ip, port, flow, scope).into()),
        ip if flow == 0 && scope == 0 => Ok(SocketAddr::new(ip, port)),
        IpAddr::V4(_) => {
            Err(CodecError::malformed("socket address", "version 4 with a flow or a scope"))
        }
    }
}
