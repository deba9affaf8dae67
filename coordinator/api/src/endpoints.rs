//! The endpoints of the admin API.
//!
//! Where `{device}` stands, its number or name is taken; for one that waits its code too, or its hostname if no other
//! device waits under it. A node is shown by its hostname as well, if no other has it, but not changed by it.

use endpoint::{ListsByName, Query, Raw};
use serde_json::Value;

use crate::{
    ApiKey, Approve, CreateApiKey, CreateInvitation, CreateKey, CreateUser, CreatedApiKey,
    CreatedInvitation, CreatedKey, DecideRoutes, Device, ExplainPolicy, Extend, Health, Key,
    LogPage, Network, Policy, PolicyChecked, PolicyDecision, PolicyDiff, PolicySet, PolicyTested,
    ReadLog, Record, Rename, RenameUser, RenamedUser, Route, SetRecord, SetTags, TestPolicy, User,
};

endpoint::declare! {
    /// All of them.
    ENDPOINTS for Root, below "/api/v1";

    /// Lists the people.
    LIST_USERS: GET "/users" => [User];
    /// Adds a person.
    CREATE_USER: POST "/users" (CreateUser) => User, created;
    /// Gives a person another login name.
    RENAME_USER: POST "/users/{name}/rename" (RenameUser) => RenamedUser;
    /// Removes a person who has no devices.
    REMOVE_USER: DELETE "/users/{name}";

    /// Lists the pre-auth keys, without what they are.
    LIST_KEYS: GET "/keys" => [Key];
    /// Makes a pre-auth key, which is shown once.
    CREATE_KEY: POST "/keys" (CreateKey) => CreatedKey, created;
    /// Makes a pre-auth key unusable.
    EXPIRE_KEY: POST "/keys/{id}/expire" => Key;
    /// Removes a pre-auth key from the list; refused while a device waits that used it.
    REMOVE_KEY: DELETE "/keys/{id}";

    /// Lists the API keys, without what they are.
    LIST_API_KEYS: GET "/api-keys" => [ApiKey];
    /// Makes an API key, which is shown once.
    CREATE_API_KEY: POST "/api-keys" (CreateApiKey) => CreatedApiKey, created;
    /// Removes an API key, by number or name.
    REMOVE_API_KEY: DELETE "/api-keys/{key}" => ApiKey;

    /// Makes an invitation for one device, which is shown once.
    CREATE_INVITATION: POST "/invitations" (CreateInvitation) => CreatedInvitation, created;

    /// Lists devices, those that wait included.
    LIST_DEVICES: GET "/devices" => [Device];
    /// Shows a device.
    SHOW_DEVICE: GET "/devices/{device}" => Device;
    /// Removes a device, or rejects one that waits.
    REMOVE_DEVICE: DELETE "/devices/{device}";
    /// Lets a waiting device in.
    APPROVE_DEVICE: POST "/devices/{device}/approve" (Approve) => Device;
    /// Turns a waiting device away.
    REJECT_DEVICE: POST "/devices/{device}/reject";
    /// Ends a device's key now.
    EXPIRE_DEVICE: POST "/devices/{device}/expire" => Device;
    /// Gives a device's key a new life.
    EXTEND_DEVICE: POST "/devices/{device}/extend" (Extend) => Device;
    /// Gives a device another name.
    RENAME_DEVICE: POST "/devices/{device}/rename" (Rename) => Device;
    /// Replaces a device's tags.
    TAG_DEVICE: POST "/devices/{device}/tags" (SetTags) => Device;
    /// Replaces what peers are told of a device.
    SET_CAPABILITIES: PUT "/devices/{device}/capabilities" (ListsByName<Value>) => Device;

    /// Lists extra DNS names.
    LIST_RECORDS: GET "/records" => [Record];
    /// Points an extra DNS name at a device.
    SET_RECORD: PUT "/records/{name}" (SetRecord) => Record;
    /// Removes an extra DNS name.
    REMOVE_RECORD: DELETE "/records/{name}";

    /// Lists the routes of all devices.
    LIST_ROUTES: GET "/routes" => [Route];
    /// Approves routes of a device, all or none; answers with every route of it.
    APPROVE_ROUTES: POST "/devices/{device}/routes/approve" (DecideRoutes) => [Route];
    /// Rejects routes of a device, all or none; answers with every route of it.
    REJECT_ROUTES: POST "/devices/{device}/routes/reject" (DecideRoutes) => [Route];

    /// Shows the policy in force.
    SHOW_POLICY: GET "/policy" => Policy;
    /// Replaces the policy.
    SET_POLICY: PUT "/policy" (Policy) => PolicySet;
    /// Says whether a policy would be accepted.
    CHECK_POLICY: POST "/policy/check" (Policy) => PolicyChecked, read_only;
    /// Says what a policy would open and close.
    DIFF_POLICY: POST "/policy/diff" (Policy) => PolicyDiff, read_only;
    /// Runs a policy's own tests.
    TEST_POLICY: POST "/policy/test" (TestPolicy) => PolicyTested, read_only;
    /// Says which rule lets a source reach a destination, for each pair of devices.
    EXPLAIN_POLICY: POST "/policy/explain" (ExplainPolicy) => [PolicyDecision], read_only;

    /// Shows who changed what, in pages.
    READ_LOG: GET "/log" (Query<ReadLog>) => LogPage;
    /// Describes the network.
    NETWORK: GET "/network" => Network;
    /// Says whether coordinator and database answer.
    HEALTH: GET "/health" => Health;
    /// This document.
    OPENAPI: GET "/openapi.json" => Raw;
}
