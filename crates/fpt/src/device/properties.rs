//! What a card that was opened says of itself.

use burn::tensor::Device;

/// Name of a card that was opened, and the bytes of its memory.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub(super) fn properties(device: &Device) -> (Option<String>, Option<u64>) {
    use burn::backend::DispatchDevice;

    match device.as_dispatch() {
        DispatchDevice::Cube(cube) => {
            let client = cube.client();
            let properties = client.properties();
            let name = properties.identity.name.clone();
            (Some(name), properties.memory.max_memory())
        }
        _ => (None, None),
    }
}

#[cfg(not(any(feature = "cuda", feature = "wgpu")))]
pub(super) fn properties(_device: &Device) -> (Option<String>, Option<u64>) {
    (None, None)
}
