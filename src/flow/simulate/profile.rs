//! Kinds of devices, each by the figures of one that was published. What no source tells is left out.

use super::spec::Spec;

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// as it is typed
    pub name: &'static str,
    /// what it is like, as SPEC
    pub spec: &'static str,
    /// what that is modelled on
    pub source: &'static str,
}

/// All of them.
pub const PROFILES: [Profile; 6] = [
    Profile {
        name: "hdd",
        spec: "bandwidth=250MB/s,latency=uniform:0ms:8330us,sync-latency=12360us",
        source: "Western Digital Ultrastar DC HC310, 7,200 rpm, data sheet and OEM specification 1.4: 8.33 ms a \
                 revolution, of which an operation in a sequence waits for some part; 8.2 ms average seek for \
                 writing and 4.16 ms average latency before what is in the cache is on the platter; 250 MB/s, \
                 rounded, at the outer tracks",
    },
    Profile {
        name: "usb-stick",
        spec: "read-bandwidth=100MB/s,write-bandwidth=10MB/s,write-iops=75",
        source: "reviews of the Kingston DataTraveler 100 G3 (USB 3): 100 MB/s and more read, hardly 10 MB/s \
                 written; and of USB 3 sticks at large: 0.3 MB/s where files are small, which are 75 writes of \
                 4 KiB a second",
    },
    Profile {
        name: "sd-card",
        spec: "bandwidth=10MB/s,read-iops=1500,write-iops=500",
        source: "the least that SD Association's class A1 (also class 10 and U1) allows: 10 MB/s in sequence, \
                 1,500 random reads and 500 random writes a second",
    },
    Profile {
        name: "smr",
        spec: "bandwidth=180MB/s,cliff=13MB/s@20GiB,latency=uniform:0ms:11100us,sync-latency=18500us",
        source: "drive-managed shingled disks are fast until their persistent cache is full, and slow as long as \
                 there is no rest (Aghayev and others, \"Evolving Ext4 for Shingled Disks\", FAST 2017; \
                 \"Skylight\", FAST 2015); how much slower: Western Digital WD40EFAX, 9 days for a rebuild that \
                 takes others 16 hours (ServeTheHome 2020), a fourteenth; 180 MB/s by its data sheet; 5,400 rpm \
                 are 11.1 ms a revolution, and 13 ms average seek with 5.5 ms average latency stand in the \
                 specification of a 5,400 rpm disk (Hitachi 5K320); how far the cache reaches differs, 20 GiB \
                 are chosen, not measured: --simulate cliff=13MB/s@64MiB brings it nearer",
    },
    Profile {
        name: "cloud-volume",
        spec: "bandwidth=125MiB/s,iops=3000,latency=uniform:1ms:9ms,sync-latency=uniform:1ms:9ms",
        source: "Amazon EBS gp3 as it comes (user guide): 125 MiB/s, 3,000 operations a second, \"single-digit \
                 millisecond latencies\"",
    },
    Profile {
        name: "nfs",
        spec: "bandwidth=500MiB/s,read-latency=250us,write-latency=2700us,sync-latency=2700us",
        source: "Amazon EFS, regional, over NFS 4.1 (user guide): 250 us to read, 2.7 ms to write, at the least; \
                 500 MiB/s for a client",
    },
];

impl Profile {
    /// The one of this name.
    pub fn named(name: &str) -> Option<Profile> {
        PROFILES.into_iter().find(|profile| profile.name == name)
    }

    /// What it is like.
    pub fn spec(&self) -> Spec {
        Spec::parse(self.spec).expect("profiles are written right")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_is_a_device_of_its_own() {
        for profile in PROFILES {
            assert_eq!(Profile::named(profile.name), Some(profile));
            let spec = profile.spec();
            assert!(spec.write.bandwidth.is_some() && spec.seed.is_none(), "{}", profile.name);
            let others = PROFILES.iter().filter(|other| other.spec() == spec).count();
            assert_eq!(others, 1, "{}", profile.name);
        }
        assert_eq!(Profile::named("floppy"), None);
    }
}
