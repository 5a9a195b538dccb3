// Searches for Chinese words. The index that mdBook makes splits texts at blanks, which Chinese has not, and its
// search drops every letter but a-z from what is typed. So words with Chinese characters are looked for in the texts.
(() => {
    'use strict';
    const chinese = /\p{Script=Han}/u;
    const index = window.elasticlunr && window.elasticlunr.Index;
    if (!index) {
        return;
    }
    const original = index.prototype.search;
    index.prototype.search = function (query, options) {
        if (!chinese.test(query)) {
            return original.call(this, query, options);
        }
        const words = query.toLowerCase().split(/\s+/).filter(Boolean);
        const found = [];
        for (const [ref, doc] of Object.entries(this.documentStore.docs)) {
            const title = `${doc.title} ${doc.breadcrumbs}`.toLowerCase();
            const body = doc.body.toLowerCase();
            if (words.every((word) => title.includes(word) || body.includes(word))) {
                const score = words.filter((word) => title.includes(word)).length * 2 + 1;
                found.push({ ref, doc, score });
            }
        }
        return found.sort((one, other) => other.score - one.score);
    };
})();
