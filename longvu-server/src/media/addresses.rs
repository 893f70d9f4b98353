//! Which addresses a URL may lead to: the public internet's, and nothing of the machine, its network or its cloud.
//!
//! After IANA's registries of special-purpose addresses for IPv4 and IPv6. An IPv6 address that stands for an IPv4 address
//! is judged by that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one of the public internet's.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

/// IPv4 blocks that are refused, each an address and the length of its prefix in bits.
const REFUSED_V4: [([u8; 4], u32); 17] = [
    ([0, 0, 0, 0], 8),          // this network, unspecified
    ([10, 0, 0, 0], 8),         // private
    ([100, 64, 0, 0], 10),      // behind a carrier's NAT
    ([127, 0, 0, 0], 8),        // loopback
    ([168, 63, 129, 16], 32),   // a cloud's host, of its own machines' metadata, at a public address
    ([169, 254, 0, 0], 16),     // link-local, most clouds' metadata
    ([172, 16, 0, 0], 12),      // private
    ([192, 0, 0, 0], 24),       // protocol assignments
    ([192, 0, 2, 0], 24),       // documentation
    ([192, 88, 99, 0], 24),     // relays of 6to4
    ([192, 168, 0, 0], 16),     // private
    ([198, 18, 0, 0], 15),      // benchmarking
    ([198, 51, 100, 0], 24),    // documentation
    ([203, 0, 113, 0], 24),     // documentation
    ([224, 0, 0, 0], 4),        // multicast
    ([240, 0, 0, 0], 4),        // reserved
    ([255, 255, 255, 255], 32), // broadcast
];

/// IPv6 blocks that are refused within the unicast block.
const REFUSED_V6: [([u16; 3], u32); 4] = [
    ([0x2001, 0, 0], 23),     // protocol assignments: Teredo, benchmarking, ORCHID
    ([0x2001, 0xdb8, 0], 32), // documentation
    ([0x2002, 0, 0], 16),     // 6to4, which leads to any IPv4 address
    ([0x3fff, 0, 0], 20),     // documentation
];

/// What IPv6 gives to the public internet. Loopback, link-local, unique local and multicast are outside it.
const UNICAST_V6: ([u16; 3], u32) = ([0x2000, 0, 0], 3);

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within =
        |(block, bits): &([u8; 4], u32)| (address.to_bits() ^ Ipv4Addr::from(*block).to_bits()) >> (32 - bits) == 0;
    !REFUSED_V4.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let within = |([a, b, c], bits): &([u16; 3], u32)| {
        let block = Ipv6Addr::new(*a, *b, *c, 0, 0, 0, 0, 0);
        (address.to_bits() ^ block.to_bits()) >> (128 - bits) == 0
    };
    within(&UNICAST_V6) && !REFUSED_V6.iter().any(within)
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:0:0/96`), or reached through NAT64 (`64:ff9b::/96`).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let translated = matches!(address.segments(), [0x64, 0xff9b, 0, 0, 0, 0, _, _]);
    let [.., a, b, c, d] = address.octets();
    address.to_ipv4_mapped().or(translated.then(|| Ipv4Addr::new(a, b, c, d)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public(address: &str) -> bool {
        is_public(address.parse().unwrap())
    }

    #[test]
    fn addresses_that_are_not_of_the_internet() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!public(address), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
        ] {
            assert!(public(address), "{address}");
        }
    }

    proptest! {
        /// The standard library's own words for what is not public, and how an IPv6 address embeds an IPv4 one.
        #[test]
        fn agrees_with_the_standard_library(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified();
            prop_assert!(!(special && is_public(v4.into())), "{v4}");
            prop_assert_eq!(is_public(v4.into()), is_public(v4.to_ipv6_mapped().into()));
            let [a, b, c, d] = v4.octets().map(u16::from);
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d);
            prop_assert_eq!(is_public(v4.into()), is_public(nat64.into()));
        }

        #[test]
        fn what_is_local_in_ipv6_is_refused(bits: u128) {
            let v6 = Ipv6Addr::from_bits(bits);
            let special = v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast();
            prop_assert!(!(special && is_public(v6.into())), "{v6}");
        }

        /// Every address of a refused block is refused, not only the first.
        #[test]
        fn blocks_are_refused_whole(block in 0..REFUSED_V4.len(), bits: u32) {
            let (start, length) = REFUSED_V4[block];
            let rest = u32::MAX.checked_shr(length).unwrap_or(0);
            let address = Ipv4Addr::from_bits(Ipv4Addr::from(start).to_bits() | bits & rest);
            prop_assert!(!is_public(address.into()), "{address}");
        }
    }
}
