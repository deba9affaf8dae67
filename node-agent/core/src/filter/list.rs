//! Intrusive doubly linked lists over the items of a vector.

/// No item.
pub(super) const NONE: u32 = u32::MAX;

/// An item's neighbours in its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    before: u32,
    after: u32,
}

impl Links {
    pub(super) const ALONE: Self = Self { before: NONE, after: NONE };
}

/// A list item.
pub(super) trait Linked {
    fn links(&mut self) -> &mut Links;
}

/// The ends of a list; the items are in the owner's vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    first: u32,
    last: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { first: NONE, last: NONE };

    /// The number of the first item.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Adds item number `at`, which is in no list, after all others.
    pub(super) fn push_last<T: Linked>(&mut self, items: &mut [T], at: u32) {
        *items[at as usize].links() = Links { before: self.last, after: NONE };
        match self.last {
            NONE => self.first = at,
            last => items[last as usize].links().after = at,
        }
        self.last = at;
    }

    /// Takes item number `at`, which is in this list, out of it.
    pub(super) fn remove<T: Linked>(&mut self, items: &mut [T], at: u32) {
        let links = std::mem::replace(items[at as usize].links(), Links::ALONE);
        match links.before {
            NONE => self.first = links.after,
            before => items[before as usize].links().after = links.after,
        }
        match links.after {
            NONE => self.last = links.before,
            after => items[after as usize].links().before = links.before,
        }
    }
}
