//! The form in which e-mail addresses are indexed and looked up.

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::key::is_blank;

/// The key of an e-mail address in the index `by-email`: without blanks at its ends, in Unicode's form NFC, in lower
/// case. `None` if the address is blank.
///
/// One address then has one key, however it was typed. For example, `é` is one character on some keyboards, and `e` with
/// an accent after it on others.
#[must_use]
pub fn email_key(address: &str) -> Option<String> {
    let address = address.trim_matches(is_blank);
    if address.is_empty() {
        return None;
    }
    if address.is_ascii() {
        return Some(address.to_ascii_lowercase());
    }
    // Normalized last, because lower case can change the form.
    Some(ComposingNormalizerBorrowed::new_nfc().normalize(&address.to_lowercase()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("ada@example.com", Some("ada@example.com"))]
    #[case(" \t Ada.Lovelace@EXAMPLE.com\r\n", Some("ada.lovelace@example.com"))]
    #[case("\u{a0}ada@example.com\u{3000}", Some("ada@example.com"))]
    #[case("ada lovelace@example.com", Some("ada lovelace@example.com"))]
    #[case("jos\u{e9}@example.com", Some("jos\u{e9}@example.com"))]
    #[case("Jose\u{301}@example.com", Some("jos\u{e9}@example.com"))]
    #[case("JOS\u{c9}@example.com", Some("jos\u{e9}@example.com"))]
    #[case("JOSE\u{301}@example.com", Some("jos\u{e9}@example.com"))]
    #[case(" a\u{323}\u{307}@x.y ", Some("\u{1ea1}\u{307}@x.y"))]
    #[case(" a\u{307}\u{323}@x.y ", Some("\u{1ea1}\u{307}@x.y"))]
    #[case("\u{1112}\u{1161}\u{11ab}@x.y", Some("\u{d55c}@x.y"))]
    #[case("\u{212a}@x.y", Some("k@x.y"))]
    #[case("\u{130}@x.y", Some("i\u{307}@x.y"))]
    #[case("\u{4c7}@x.y", Some("\u{4c8}@x.y"))]
    #[case("\u{feff}ada@example.com\u{200b}\0", Some("ada@example.com"))]
    #[case("", None)]
    #[case("\u{200b}", None)]
    #[case(" \t\u{a0}\u{3000}", None)]
    fn email_keys(#[case] address: &str, #[case] key: Option<&str>) {
        assert_eq!(email_key(address).as_deref(), key);
    }

    /// Every character in another form has the same key, also after lower case changed it.
    #[test]
    fn the_form_of_a_character_does_not_matter() {
        let nfd = icu_normalizer::DecomposingNormalizerBorrowed::new_nfd();
        for character in (char::MIN..=char::MAX).filter(|character| !character.is_ascii()) {
            let [sent, decomposed] = [format!("a{character}b"), nfd.normalize(&format!("a{character}b")).into_owned()];
            let key = email_key(&sent);
            assert_eq!(email_key(&decomposed), key, "{character:?}");
            assert_eq!(key.as_deref().and_then(email_key), key, "{character:?}");
        }
    }

    proptest! {
        /// What is stored is found: by itself, with blanks around it, and in the form NFD.
        #[test]
        fn a_key_is_its_own_key(address in "\\PC{0,12}") {
            let nfd = icu_normalizer::DecomposingNormalizerBorrowed::new_nfd();
            for other in [format!("\u{2003}{address}\n"), nfd.normalize(&address).into_owned()] {
                prop_assert_eq!(email_key(&other), email_key(&address));
            }
            if let Some(key) = email_key(&address) {
                prop_assert_eq!(email_key(&key), Some(key));
            }
        }
    }
}
