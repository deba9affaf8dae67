-- Frozen. Of a device that has only WireGuard: how it is reached,
-- {"router":…,"router_key":"nodekey:…","endpoint":"HOST:PORT" or null,"full_tunnel":…,"keepalive":…}. NULL: another node.

ALTER TABLE nodes ADD COLUMN wireguard TEXT;
