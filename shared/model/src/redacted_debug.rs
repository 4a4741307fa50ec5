/// Implements `Debug` for types with personal data or secrets so that it prints only the type's name. A log line, a
/// panic message or an error can then not reveal their content by accident.
macro_rules! redacted_debug {
    ($($type:ident $(<$lifetime:lifetime>)?),+ $(,)?) => {$(
        impl std::fmt::Debug for $type $(<$lifetime>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        }
    )+};
}
