//! Compute devices by name: `cpu`, `cuda:0`, `vulkan:1`, …

use burn::tensor::{Device, DeviceType};

use crate::{Error, Result};

/// Backends that a device string can name, whether or not this build has them.
const KNOWN: [&str; 9] = ["cpu", "ndarray", "cubecl-cpu", "cuda", "rocm", "metal", "vulkan", "webgpu", "wgpu"];

/// Turns a device string into a device.
///
/// `cpu` is burn's flex backend; `ndarray`, `cubecl-cpu`, `cuda[:N]`, `rocm[:N]`, `metal[:N]`, `vulkan[:N]`, `webgpu[:N]` and
/// `wgpu[:N]` need the Cargo feature of that name. `N` counts the adapters listed by [`available_devices`], from 0.
///
/// # Errors
/// [`Error::Device`] when the name is unknown, the feature is off, or no such adapter is there; it lists what is.
pub fn parse_device(name: &str) -> Result<Device> {
    let fail = |reason: String| Error::Device { requested: name.to_owned(), reason, available: available_devices() };
    let lower = name.trim().to_ascii_lowercase();
    let (backend, index) = match lower.split_once(':') {
        None => (lower.as_str(), 0),
        Some((backend, index)) => {
            let parsed = index.parse::<usize>();
            (backend, parsed.map_err(|_| fail(format!("`{index}` is not an adapter number")))?)
        }
    };
    let backend = if backend == "flex" { "cpu" } else { backend };
    if !KNOWN.contains(&backend) {
        return Err(fail(format!("no backend is called `{backend}` (known: {})", KNOWN.join(", "))));
    }
    let Some(devices) = devices_of(backend) else {
        let feature = if backend == "cpu" { "flex" } else { backend };
        return Err(fail(format!("this build lacks it; build it with the feature `{feature}`")));
    };
    let found = devices.len();
    devices.into_iter().nth(index).ok_or_else(|| {
        fail(match found {
            0 => format!("no {backend} adapter was found on this machine"),
            n => format!("{backend} has {n} adapter(s), numbered from 0"),
        })
    })
}

/// Device strings that [`parse_device`] accepts with this build on this machine.
pub fn available_devices() -> Vec<String> {
    let mut names = Vec::new();
    for backend in KNOWN {
        let count = devices_of(backend).map_or(0, |devices| devices.len());
        match backend {
            "cpu" | "ndarray" | "cubecl-cpu" if count > 0 => names.push(backend.to_owned()),
            _ => names.extend((0..count).map(|i| format!("{backend}:{i}"))),
        }
    }
    names
}

/// Whether `device` computes on the processor, in the machine's own memory; with gradients or without.
///
/// Right in every build: one without the CPU backends has no such device.
#[allow(deprecated, reason = "burn's ndarray backend is, and a device string names it")]
pub fn is_cpu(device: &Device) -> bool {
    let cpus: &[Device] = &[
        #[cfg(feature = "flex")]
        Device::flex(),
        #[cfg(feature = "ndarray")]
        Device::ndarray(),
    ];
    cpus.contains(device)
}

/// A device's own name, and what its kernels are compiled for; `None` for one that says neither.
pub fn adapter_name(device: &Device) -> Option<String> {
    #[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cubecl-cpu"))]
    return device.identity().map(|identity| format!("{} ({})", identity.name, identity.fingerprint));
    #[cfg(not(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cubecl-cpu")))]
    {
        let _ = device;
        None
    }
}

/// The devices of one backend; `None` when it was not compiled in.
///
/// Asking burn for its list, rather than constructing a device, is what keeps an absent adapter from panicking on
/// a worker thread later. A driver that panics while it lists its adapters counts as having none.
fn devices_of(backend: &str) -> Option<Vec<Device>> {
    let kind = device_type(backend)?;
    let listed = std::panic::catch_unwind(|| Device::enumerate(kind).into_vec());
    Some(listed.unwrap_or_default())
}

fn device_type(backend: &str) -> Option<DeviceType> {
    match backend {
        #[cfg(feature = "flex")]
        "cpu" => Some(DeviceType::Flex),
        #[cfg(feature = "ndarray")]
        "ndarray" => Some(DeviceType::NdArray),
        #[cfg(feature = "cubecl-cpu")]
        "cubecl-cpu" => Some(DeviceType::Cpu),
        #[cfg(feature = "cuda")]
        "cuda" => Some(DeviceType::Cuda),
        #[cfg(feature = "rocm")]
        "rocm" => Some(DeviceType::Rocm),
        #[cfg(feature = "metal")]
        "metal" => Some(DeviceType::Metal),
        #[cfg(feature = "vulkan")]
        "vulkan" => Some(DeviceType::Vulkan),
        #[cfg(feature = "webgpu")]
        "webgpu" => Some(DeviceType::WebGpu),
        #[cfg(feature = "wgpu")]
        "wgpu" => Some(DeviceType::Wgpu),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_device_is_an_error_that_lists_what_is_there() {
        for name in ["cuda:7", "tpu", "cpu:x", "vulkan:99", "cpu:1", ""] {
            let error = parse_device(name).unwrap_err().to_string();
            assert!(error.contains("available here"), "{name}: {error}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_backend_that_was_not_built_names_its_feature() {
        let error = parse_device("cuda:0").unwrap_err().to_string();
        assert!(error.contains("the feature `cuda`") && error.contains("`cuda:0`"), "{error}");
    }

    #[test]
    fn every_listed_device_can_be_had() {
        for name in available_devices() {
            let device = parse_device(&name).unwrap();
            assert_eq!(is_cpu(&device), ["cpu", "ndarray"].contains(&name.as_str()), "{name}");
        }
    }

    #[test]
    #[cfg(all(feature = "flex", feature = "autodiff"))]
    fn the_cpu_with_gradients_is_the_cpu() {
        assert!(is_cpu(&Device::flex().autodiff()));
    }

    #[test]
    #[cfg(feature = "flex")]
    fn the_cpu_is_always_there() {
        assert_eq!(parse_device("cpu").unwrap(), Device::flex());
        assert_eq!(parse_device(" CPU:0 ").unwrap(), Device::flex());
        assert!(available_devices().contains(&"cpu".to_owned()));
    }
}
