//! Tags that a device requests (`--advertise-tags`), and who may assign them.

use crate::{
    model::{Owner, User},
    name,
};

/// The tags that a device requests, and the policy that decides on them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestedTags<'a> {
    /// The tags, as the device wrote them.
    pub tags: &'a [String],
    /// The policy with `tagOwners`; without it no tag may be assigned.
    pub policy: Option<&'a acl::Policy>,
    /// The people.
    pub users: &'a [User],
}

/// The device requests a tag that its owner may not assign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagNotAllowed;

impl RequestedTags<'_> {
    /// The owner of a device of `owner`: the requested tags, if any.
    ///
    /// A user may assign the tags that `tagOwners` permit. A tagged owner may assign its own tags, and tags that one of its
    /// tags owns. A device that requests only tags that it has keeps all of its tags.
    ///
    /// # Errors
    ///
    /// [`TagNotAllowed`] if one of the tags is invalid or may not be assigned.
    pub fn owner(&self, owner: &Owner) -> Result<Owner, TagNotAllowed> {
        if self.tags.iter().all(|tag| owner.tag_list().contains(tag)) {
            return Ok(owner.clone());
        }
        if self.tags.iter().all(|tag| self.may_give(owner, tag)) {
            return Ok(Owner::tags(self.tags.to_vec()));
        }
        Err(TagNotAllowed)
    }

    fn may_give(&self, owner: &Owner, tag: &str) -> bool {
        let Some(policy) = self.policy.filter(|_| name::check_tag(tag).is_ok()) else {
            return false;
        };
        match owner {
            Owner::User(id) => {
                let user = self.users.iter().find(|user| user.id == *id);
                user.is_some_and(|user| policy.may_tag(&user.name, tag))
            }
            Owner::Tags(own) => {
                let owns = |by: &String| by == tag || policy.may_tag_as(by, tag);
                own.iter().any(owns)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"{
        "groups": { "group:family": ["bob"] },
        "tagOwners": {
            "tag:printer": ["alice", "group:family"],
            "tag:server": ["alice"],
            "tag:child": ["tag:server"],
            "tag:home": [],
        },
    }"#;

    fn asks(tags: &[&str], owner: &Owner) -> Result<Owner, TagNotAllowed> {
        let policy = acl::Policy::parse(POLICY).unwrap();
        let users = [(1, "alice"), (2, "bob")].map(|(id, name)| User {
            id,
            name: name.to_owned(),
            created: 0,
        });
        let tags: Vec<_> = tags.iter().map(ToString::to_string).collect();
        RequestedTags { tags: &tags, policy: Some(&policy), users: &users }.owner(owner)
    }

    fn tagged(tags: &[&str]) -> Owner {
        Owner::tags(tags.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_person_gives_the_tags_whose_owner_it_is_and_no_others() {
        let [alice, bob, nobody] = [1, 2, 3].map(Owner::User);

        assert_eq!(asks(&[], &alice), Ok(alice.clone()));
        assert_eq!(asks(&["tag:server"], &alice), Ok(tagged(&["tag:server"])));
        let both = ["tag:server", "tag:printer", "tag:server"];
        assert_eq!(asks(&both, &alice), Ok(tagged(&["tag:printer", "tag:server"])));
        assert_eq!(asks(&["tag:printer"], &bob), Ok(tagged(&["tag:printer"])), "by its group");
        assert_eq!(asks(&both, &bob), Err(TagNotAllowed), "all or none");
        for tag in ["tag:home", "tag:none", "printer", "", "autogroup:member"] {
            assert_eq!(asks(&[tag], &alice), Err(TagNotAllowed), "{tag}");
        }
        assert_eq!(asks(&["tag:printer"], &nobody), Err(TagNotAllowed));
        let without_policy =
            RequestedTags { tags: &["tag:server".to_owned()], ..RequestedTags::default() };
        assert_eq!(without_policy.owner(&alice), Err(TagNotAllowed));
    }

    #[test]
    fn who_is_tagged_gives_its_own_tags_and_those_it_owns() {
        let server = tagged(&["tag:server", "tag:printer"]);

        assert_eq!(asks(&[], &server), Ok(server.clone()));
        assert_eq!(asks(&["tag:printer"], &server), Ok(server.clone()), "no more than it has");
        assert_eq!(asks(&["tag:child"], &server), Ok(tagged(&["tag:child"])));
        assert_eq!(asks(&["tag:home"], &server), Err(TagNotAllowed));
        assert_eq!(asks(&["tag:server"], &tagged(&["tag:child"])), Err(TagNotAllowed));
    }
}
