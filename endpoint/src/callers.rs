//! Classes of callers.

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Callers {
    /// Everyone who reaches the port. It tells nothing that is secret and changes nothing.
    Anyone,
    /// Everyone who has an invitation, for the device whose ticket is in the path.
    Invited,
    /// A device that has proved its machine key, approved or not.
    Machine,
    /// Members of the network whom the policy lets in; the body is sealed to the gateway.
    Sealed,
    /// Members of the network whom the policy lets in; the body is protected by WireGuard alone.
    Member,
    /// Members as above, and programs of the home machine that show the key of an app.
    App,
    /// Everyone who shows an API key over HTTPS.
    ApiKey,
    /// Every user of this machine.
    User,
    /// Whom the folder of the socket lets in.
    Folder,
    /// The superuser of this machine.
    Root,
    /// Machines of a confidential chain that show a certificate for any role.
    Certified,
    /// Machines of a confidential chain that show a certificate for this role.
    Role(&'static str),
}
