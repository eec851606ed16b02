//! What a device says of itself: temperature and SMART, by smartctl(8) of smartmontools and its JSON
//! (`smartctl --json --health --attributes --info`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::sys::stat::{Kind, Stat};

/// One look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// in degrees Celsius
    pub temperature_celsius: Option<i64>,
    /// the device's own verdict
    pub passed: Option<bool>,
    /// counters that only grow when something is wrong, where they are not 0
    pub troubles: Vec<(String, u64)>,
}

/// SMART attributes of ATA devices that count what went wrong (smartmontools' names): reallocated
/// sectors, reported uncorrectable, command timeouts, pending sectors, offline uncorrectable, CRC errors.
const TROUBLES: [u64; 6] = [5, 187, 188, 197, 198, 199];

#[derive(Deserialize)]
struct Said {
    temperature: Option<Temperature>,
    smart_status: Option<Status>,
    ata_smart_attributes: Option<Attributes>,
    nvme_smart_health_information_log: Option<Nvme>,
}

#[derive(Deserialize)]
struct Temperature {
    current: Option<i64>,
}

#[derive(Deserialize)]
struct Status {
    passed: Option<bool>,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(default)]
    table: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    id: u64,
    name: String,
    raw: Raw,
}

#[derive(Deserialize)]
struct Raw {
    value: u64,
}

#[derive(Deserialize)]
struct Nvme {
    critical_warning: Option<u64>,
    media_errors: Option<u64>,
    percentage_used: Option<u64>,
}

impl Health {
    /// What smartctl's JSON says; None where that is no JSON or says nothing.
    pub fn read(json: &[u8]) -> Option<Health> {
        let said: Said = serde_json::from_slice(json).ok()?;
        let attributes = said.ata_smart_attributes.into_iter().flat_map(|attributes| attributes.table);
        let ata = attributes
            .filter(|attribute| TROUBLES.contains(&attribute.id))
            .map(|attribute| (attribute.name, attribute.raw.value));
        let nvme = said.nvme_smart_health_information_log.into_iter().flat_map(|log| {
            [
                ("critical_warning", log.critical_warning),
                ("media_errors", log.media_errors),
                ("percentage_used", log.percentage_used),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        });
        let health = Health {
            temperature_celsius: said.temperature.and_then(|temperature| temperature.current),
            passed: said.smart_status.and_then(|status| status.passed),
            troubles: ata.chain(nvme).filter(|(_, value)| *value > 0).collect(),
        };
        (health != Health::default()).then_some(health)
    }
}

/// The device under a file, or the device itself, as smartctl wants it named: a whole disk.
pub fn device_of(stat: &Stat) -> Option<PathBuf> {
    let (major, minor) = if stat.kind == Kind::Block { stat.represents } else { stat.device };
    let sysfs = Path::new("/sys/dev/block").join(format!("{major}:{minor}")).canonicalize().ok()?;
    let disk = if sysfs.join("partition").exists() { sysfs.parent()?.to_owned() } else { sysfs };
    Some(Path::new("/dev").join(disk.file_name()?))
}

/// Asks the device; why that tells nothing, in words.
pub fn ask(device: Option<&Path>) -> Result<Health, &'static str> {
    let device = device.ok_or("no disk is under it")?;
    let path = std::env::var("PATH").unwrap_or_default();
    let smartctl = Command::new("smartctl")
        .args(["--json", "--info", "--health", "--attributes"])
        .arg(device)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    // Its exit status is a set of bits of which some mean no failure; what it said tells.
    let smartctl = smartctl.map_err(|_| "smartctl (smartmontools) is not installed")?;
    Health::read(&smartctl.stdout).ok_or("the device has none that smartctl can read")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut down from what smartctl 7.3 says of a SATA disk.
    const ATA: &str = r#"{"json_format_version":[1,0],"device":{"name":"/dev/sda","type":"sat"},
        "smart_status":{"passed":true},"temperature":{"current":31},
        "ata_smart_attributes":{"revision":16,"table":[
        {"id":1,"name":"Raw_Read_Error_Rate","value":200,"raw":{"value":17,"string":"17"}},
        {"id":5,"name":"Reallocated_Sector_Ct","value":200,"raw":{"value":8,"string":"8"}},
        {"id":197,"name":"Current_Pending_Sector","value":200,"raw":{"value":0,"string":"0"}}]}}"#;
    /// And of an NVMe one.
    const NVME: &str = r#"{"smart_status":{"passed":false,"nvme":{"value":4}},"temperature":{"current":54},
        "nvme_smart_health_information_log":{"critical_warning":4,"temperature":54,"percentage_used":103,"media_errors":0}}"#;

    #[test]
    fn smartctls_words_are_understood() {
        let ata = Health::read(ATA.as_bytes()).unwrap();
        let troubles = vec![("Reallocated_Sector_Ct".to_owned(), 8)];
        assert_eq!(ata, Health { temperature_celsius: Some(31), passed: Some(true), troubles });
        let nvme = Health::read(NVME.as_bytes()).unwrap();
        let troubles = vec![("critical_warning".to_owned(), 4), ("percentage_used".to_owned(), 103)];
        assert_eq!(nvme, Health { temperature_celsius: Some(54), passed: Some(false), troubles });
        assert_eq!(Health::read(br#"{"smartctl":{"exit_status":2}}"#), None);
        assert_eq!(Health::read(b"no"), None);
    }
}
