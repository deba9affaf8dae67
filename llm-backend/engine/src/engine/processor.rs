//! What llama.cpp needs of the processor.

use crate::Error;

/// Checks for the instruction sets that llama.cpp was built with; without them it would crash.
pub(super) fn check() -> Result<(), Error> {
    #[cfg(target_arch = "x86_64")]
    for (name, has) in [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("F16C", is_x86_feature_detected!("f16c")),
        ("BMI2", is_x86_feature_detected!("bmi2")),
    ] {
        if !has {
            return Err(Error::Processor { missing: name });
        }
    }
    Ok(())
}
