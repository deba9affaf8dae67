//! The endpoints of the admin API.
//!
//! Where `{device}` stands, its number or name is taken; for one that waits its code too, or its hostname if no other
//! device waits under it. A node is shown by its hostname as well, if no other has it, but not changed by it.

use endpoint::{ListsByName, Query, Raw};
use serde_json::Value;

use crate::{
    AddWireguardDevice, ApiKey, Approve, Coordinator, CreateApiKey, CreateInvitation, CreateKey,
    CreateUser, CreatedApiKey, CreatedInvitation, CreatedKey, DecideRoutes, Device, ExplainPolicy,
    Extend, Health, Key, LogPage, Network, Policy, PolicyChecked, PolicyDecision, PolicyDiff,
    PolicySet, PolicyTested, ReadLog, Record, Rename, RenameUser, RenamedUser,
    RotateWireguardDevice, Route, SetRecord, SetTags, TestPolicy, User, WireguardDevice,
};

endpoint::declare! {
    /// All of them.
    ENDPOINTS for Root, below "/api/v1";

    /// Lists users.
    LIST_USERS: GET "/users" => [User];
    /// Adds a user.
    CREATE_USER: POST "/users" (CreateUser) => User, created;
    /// Renames a user.
    RENAME_USER: POST "/users/{name}/rename" (RenameUser) => RenamedUser;
    /// Removes a user without devices.
    REMOVE_USER: DELETE "/users/{name}";

    /// Lists pre-auth keys, without the keys themselves.
    LIST_KEYS: GET "/keys" => [Key];
    /// Creates a pre-auth key, which is shown once.
    CREATE_KEY: POST "/keys" (CreateKey) => CreatedKey, created;
    /// Expires a pre-auth key.
    EXPIRE_KEY: POST "/keys/{id}/expire" => Key;
    /// Removes a pre-auth key from the list; refused while a waiting device has used it.
    REMOVE_KEY: DELETE "/keys/{id}";

    /// Lists API keys, without the keys themselves.
    LIST_API_KEYS: GET "/api-keys" => [ApiKey];
    /// Creates an API key, which is shown once.
    CREATE_API_KEY: POST "/api-keys" (CreateApiKey) => CreatedApiKey, created;
    /// Removes an API key, by number or name.
    REMOVE_API_KEY: DELETE "/api-keys/{key}" => ApiKey;

    /// Creates an invitation for one device, which is shown once.
    CREATE_INVITATION: POST "/invitations" (CreateInvitation) => CreatedInvitation, created;

    /// Lists devices, including waiting ones.
    LIST_DEVICES: GET "/devices" => [Device];
    /// Shows a device.
    SHOW_DEVICE: GET "/devices/{device}" => Device;
    /// Removes a device, or rejects a waiting one.
    REMOVE_DEVICE: DELETE "/devices/{device}";
    /// Approves a waiting device.
    APPROVE_DEVICE: POST "/devices/{device}/approve" (Approve) => Device;
    /// Rejects a waiting device.
    REJECT_DEVICE: POST "/devices/{device}/reject";
    /// Expires a device's key now.
    EXPIRE_DEVICE: POST "/devices/{device}/expire" => Device;
    /// Extends a device's key.
    EXTEND_DEVICE: POST "/devices/{device}/extend" (Extend) => Device;
    /// Renames a device.
    RENAME_DEVICE: POST "/devices/{device}/rename" (Rename) => Device;
    /// Replaces a device's tags.
    TAG_DEVICE: POST "/devices/{device}/tags" (SetTags) => Device;
    /// Replaces the capabilities that a device's peers receive.
    SET_CAPABILITIES: PUT "/devices/{device}/capabilities" (ListsByName<Value>) => Device;

    /// Lists WireGuard devices, which `/devices` lists, shows, renames, tags, extends, expires and removes, too.
    LIST_WIREGUARD: GET "/wireguard" => [WireguardDevice];
    /// Adds a WireGuard device.
    ADD_WIREGUARD: POST "/wireguard" (AddWireguardDevice) => WireguardDevice, created;
    /// Shows a WireGuard device.
    SHOW_WIREGUARD: GET "/wireguard/{device}" => WireguardDevice;
    /// Gives a WireGuard device another key.
    ROTATE_WIREGUARD: POST "/wireguard/{device}/rotate" (RotateWireguardDevice) => WireguardDevice;

    /// Lists extra DNS names.
    LIST_RECORDS: GET "/records" => [Record];
    /// Points an extra DNS name at a device.
    SET_RECORD: PUT "/records/{name}" (SetRecord) => Record;
    /// Removes an extra DNS name.
    REMOVE_RECORD: DELETE "/records/{name}";

    /// Lists the routes of all devices.
    LIST_ROUTES: GET "/routes" => [Route];
    /// Approves routes of a device, all or none; returns all its routes.
    APPROVE_ROUTES: POST "/devices/{device}/routes/approve" (DecideRoutes) => [Route];
    /// Rejects routes of a device, all or none; returns all its routes.
    REJECT_ROUTES: POST "/devices/{device}/routes/reject" (DecideRoutes) => [Route];

    /// Shows the policy in force.
    SHOW_POLICY: GET "/policy" => Policy;
    /// Replaces the policy.
    SET_POLICY: PUT "/policy" (Policy) => PolicySet;
    /// Checks a policy.
    CHECK_POLICY: POST "/policy/check" (Policy) => PolicyChecked, read_only;
    /// Lists what a policy would open and close.
    DIFF_POLICY: POST "/policy/diff" (Policy) => PolicyDiff, read_only;
    /// Runs a policy's own tests.
    TEST_POLICY: POST "/policy/test" (TestPolicy) => PolicyTested, read_only;
    /// Finds the rule by which a source reaches a destination, for each pair of devices.
    EXPLAIN_POLICY: POST "/policy/explain" (ExplainPolicy) => [PolicyDecision], read_only;

    /// Reads the audit log, in pages.
    READ_LOG: GET "/log" (Query<ReadLog>) => LogPage;
    /// Describes the network.
    NETWORK: GET "/network" => Network;
    /// Lists the coordinators: more than one if they share a database.
    LIST_COORDINATORS: GET "/coordinators" => [Coordinator];
    /// Checks the coordinator and its database.
    HEALTH: GET "/health" => Health;
    /// This document.
    OPENAPI: GET "/openapi.json" => Raw;
}
