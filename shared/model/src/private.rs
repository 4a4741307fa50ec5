/// `Debug` for types that hold personal data: the type's name and nothing else, so that no log line,
/// panic message or error can carry a customer's name by accident.
macro_rules! private_debug {
    ($($type:ty),+ $(,)?) => {$(
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    )+};
}
pub(crate) use private_debug;
