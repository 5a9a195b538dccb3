//! The tutorials in Chinese have the blocks of those in English.

use crate::pages::{self, Page, writes};

/// The page that a translation is of.
pub(crate) fn original(name: &str) -> Option<String> {
    let file = name.strip_prefix("tutorials/zh/")?;
    Some(format!("tutorials/{file}"))
}

#[test]
fn every_tutorial_is_there_in_both_languages_and_leads_to_the_other() {
    let names: Vec<String> = pages::all().into_iter().map(|page| page.name).collect();
    let mut tutorials = 0;
    for name in &names {
        let Some(file) = name
            .strip_prefix("tutorials/")
            .filter(|file| !file.contains('/'))
        else {
            continue;
        };
        tutorials += 1;
        assert!(
            names.contains(&format!("tutorials/zh/{file}")),
            "{file} has no translation"
        );
        let switch = |page: &str, link: &str| {
            let page = Page::read(page);
            let first = page.text.lines().take(4).any(|line| line.contains(link));
            assert!(first, "{}: its first lines have no {link}", page.name);
        };
        switch(name, &format!("[简体中文](zh/{file})"));
        switch(
            &format!("tutorials/zh/{file}"),
            &format!("[English](../{file})"),
        );
    }
    assert!(tutorials > 5, "{tutorials}");
}

#[test]
fn a_translation_has_the_blocks_of_its_original() {
    let mut compared = 0;
    for page in pages::all() {
        let Some(original) = original(&page.name) else {
            continue;
        };
        let original = Page::read(&original);
        let (ours, theirs) = (page.blocks.len(), original.blocks.len());
        assert_eq!(
            ours, theirs,
            "blocks of {} and {}",
            page.name, original.name
        );
        for (ours, theirs) in page.blocks.iter().zip(&original.blocks) {
            assert_eq!(
                ours.words, theirs.words,
                "{} and {}",
                ours.place, theirs.place
            );
            let same = writes() || ours.text == theirs.text;
            assert!(same, "{} and {} differ", ours.place, theirs.place);
        }
        if writes() {
            let texts: Vec<String> = original
                .blocks
                .iter()
                .map(|block| block.text.clone())
                .collect();
            page.rewrite(&texts);
        }
        compared += 1;
    }
    assert!(compared > 5, "{compared}");
}
