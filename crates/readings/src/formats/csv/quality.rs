//! Words of quality columns, in the languages of the profiles.

use crate::model::Quality;

use super::mapping::QualityWords;

/// Words and what they mean. A word of a profile or mapping comes first.
const WORDS: &[(&str, Quality)] = &[
    ("", Quality::Unstated),
    // Measured.
    ("a", Quality::Measured),
    ("act", Quality::Measured),
    ("actual", Quality::Measured),
    ("gemessen", Quality::Measured),
    ("g", Quality::Measured),
    ("gültig", Quality::Measured),
    ("gültiger messwert", Quality::Measured),
    ("gültiger wert", Quality::Measured),
    ("wert ist gültig", Quality::Measured),
    ("gut", Quality::Measured),
    ("l1", Quality::Measured),
    ("m", Quality::Measured),
    ("measured", Quality::Measured),
    ("mesurée", Quality::Measured),
    ("misurato", Quality::Measured),
    ("målt", Quality::Measured),
    ("maalt", Quality::Measured),
    ("gemeten", Quality::Measured),
    ("gevalideerd", Quality::Measured),
    ("ok", Quality::Measured),
    ("r", Quality::Measured),
    ("real", Quality::Measured),
    ("reale", Quality::Measured),
    ("réelle", Quality::Measured),
    ("uitgelezen", Quality::Measured),
    ("val", Quality::Measured),
    ("valid", Quality::Measured),
    ("validated", Quality::Measured),
    ("verified", Quality::Measured),
    ("brut", Quality::Measured),
    // Estimated.
    ("a02", Quality::Unknown),
    ("a03", Quality::Estimated),
    ("a04", Quality::Measured),
    ("e", Quality::Estimated),
    ("est", Quality::Estimated),
    ("estimada", Quality::Estimated),
    ("estimado", Quality::Estimated),
    ("estimated", Quality::Estimated),
    ("estimate", Quality::Estimated),
    ("estimeret", Quality::Estimated),
    ("estimée", Quality::Estimated),
    ("estimé", Quality::Estimated),
    ("stimato", Quality::Estimated),
    ("stimata", Quality::Estimated),
    ("geschat", Quality::Estimated),
    ("geschätzt", Quality::Estimated),
    ("schätzwert", Quality::Estimated),
    ("rechnerisch ermittelt", Quality::Estimated),
    ("berechnet", Quality::Estimated),
    ("l2", Quality::Estimated),
    ("l3", Quality::Estimated),
    ("projected", Quality::Estimated),
    // Put in.
    ("ersatzwert", Quality::Substituted),
    ("ja", Quality::Substituted),
    ("substituted", Quality::Substituted),
    ("substitute", Quality::Substituted),
    ("s", Quality::Substituted),
    ("f", Quality::Substituted),
    ("korrigeret", Quality::Measured),
    ("vorläufig", Quality::Questionable),
    // As a live meter's files have it.
    ("clock-drift", Quality::Drifted),
];

/// What a cell of a quality column says; `None` if it says that there is no value.
#[must_use]
pub fn quality(text: &str, words: &QualityWords) -> Option<Quality> {
    let word = text.trim().to_lowercase();
    let of = |list: &[String]| list.iter().any(|w| w.to_lowercase() == word);
    if of(&words.missing) {
        return None;
    }
    for (list, quality) in [
        (&words.measured, Quality::Measured),
        (&words.estimated, Quality::Estimated),
        (&words.substituted, Quality::Substituted),
    ] {
        if of(list) {
            return Some(quality);
        }
    }
    let known = |word: &str| WORDS.iter().find(|(w, _)| *w == word).map(|(_, quality)| *quality);
    // `Wert ist gültig(L1)`: the code in brackets decides.
    if let Some((words, code)) = word.split_once('(') {
        let code = known(code.trim_end_matches(')').trim()).or_else(|| known(words.trim()));
        return Some(code.unwrap_or(Quality::Unknown));
    }
    Some(known(&word).unwrap_or(Quality::Unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_profiles_are_known_and_others_are_not_taken_for_granted() {
        let none = QualityWords::default();
        for (word, expected) in [
            ("G", Quality::Measured),
            ("E", Quality::Estimated),
            ("Wert ist gültig(L1)", Quality::Measured),
            ("Wert ist ersetzt (L2)", Quality::Estimated),
            ("Estimeret", Quality::Estimated),
            ("Ersatzwert", Quality::Substituted),
            ("", Quality::Unstated),
            ("perhaps", Quality::Unknown),
        ] {
            assert_eq!(quality(word, &none), Some(expected), "{word}");
        }
        let own = QualityWords { measured: vec!["Perhaps".into()], missing: vec!["-".into()], ..none };
        assert_eq!((quality("perhaps", &own), quality("-", &own)), (Some(Quality::Measured), None));
    }
}
