//! Classes of callers.

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Callers {
    /// Everyone who reaches the port. The endpoint reveals no secret and changes nothing.
    Anyone,
    /// Holders of an invitation, for the device whose ticket is in the path.
    Invited,
    /// Devices that prove their machine key, approved or not.
    Machine,
    /// Members that the policy admits; the body is sealed to the gateway.
    Sealed,
    /// Members that the policy admits; only WireGuard protects the body.
    Member,
    /// Members as above, and programs of the home machine with an app's key.
    App,
    /// Holders of an API key, over HTTPS.
    ApiKey,
    /// Every user of this machine.
    User,
    /// The AI as a member of rooms, over a link of its own.
    Participant,
    /// Users that may enter the socket's folder.
    Folder,
    /// Root of this machine.
    Root,
    /// Machines of a confidential chain with a certificate for any role.
    Certified,
    /// Machines of a confidential chain with a certificate for this role.
    Role(&'static str),
}
