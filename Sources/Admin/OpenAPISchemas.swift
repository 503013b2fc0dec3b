// Of what shape is what the API takes and gives? JSON Schema 2020-12, as OpenAPI 3.1 has it. What is answered may
// have more members than are told here; what is sent may not.

import Vocabulary

enum OpenAPISchemas {
    static let all = (try? JSON(parsing: Array(text.utf8))) ?? .object([])

    static let text = #"""
        {
          "Any": {},
          "Text": {"type": "string"},
          "Name": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
          "PeerName": {"type": "string", "minLength": 1, "maxLength": 264, "pattern": "^[!-.0-~]+$", "description": "A peer's id, which is its address unless its definition says otherwise."},
          "query-limit": {"type": "integer", "minimum": 0, "maximum": 8000},
          "query-follow": {"type": "boolean", "default": true, "description": "false ends with what is held."},
          "query-from": {"type": "string", "format": "date-time", "description": "RFC 3339; a day before 'to' where it is empty or left out."},
          "query-to": {"type": "string", "format": "date-time", "description": "RFC 3339; now where it is empty or left out."},
          "Share": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
          "History": {
            "type": "object",
            "required": ["upstream", "peer", "status", "since", "from", "to", "known_from", "uptime", "outages", "strip", "transitions", "latency"],
            "properties": {
              "upstream": {"type": "string"}, "peer": {"type": "string"}, "status": {"type": "string"}, "since": {"$ref": "#/components/schemas/Time"},
              "from": {"$ref": "#/components/schemas/Time"}, "to": {"$ref": "#/components/schemas/Time"}, "known_from": {"$ref": "#/components/schemas/TimeOrNull"},
              "uptime": {"type": "object", "required": ["1h", "24h", "7d"], "properties": {"1h": {"$ref": "#/components/schemas/Share"}, "24h": {"$ref": "#/components/schemas/Share"}, "7d": {"$ref": "#/components/schemas/Share"}}},
              "outages": {"type": "object", "required": ["count", "total_ms", "longest_ms"], "properties": {"count": {"type": "integer"}, "total_ms": {"type": "integer"}, "longest_ms": {"type": "integer"}}},
              "strip": {"type": "string"},
              "transitions": {"type": "array", "items": {"type": "object", "required": ["time", "from", "to", "reason"], "properties": {"time": {"$ref": "#/components/schemas/Time"}, "from": {"type": "string"}, "to": {"type": "string"}, "reason": {"type": "string"}}}},
              "latency": {"type": "array", "items": {"type": "object", "required": ["time", "probes", "failures", "min_ms", "avg_ms", "p50_ms", "p99_ms", "max_ms"], "properties": {"time": {"$ref": "#/components/schemas/Time"}, "probes": {"type": "integer"}, "failures": {"type": "integer"}, "min_ms": {"type": ["number", "null"]}, "avg_ms": {"type": ["number", "null"]}, "p50_ms": {"type": ["number", "null"]}, "p99_ms": {"type": ["number", "null"]}, "max_ms": {"type": ["number", "null"]}}}}
            }
          },
          "Strips": {
            "type": "object",
            "required": ["from", "to", "part_s", "peers"],
            "properties": {
              "from": {"$ref": "#/components/schemas/Time"}, "to": {"$ref": "#/components/schemas/Time"}, "part_s": {"type": "integer"},
              "peers": {"type": "array", "items": {"type": "object", "required": ["id", "strip", "uptime", "latency_ms"], "properties": {"id": {"type": "string"}, "strip": {"type": "string"}, "uptime": {"$ref": "#/components/schemas/Share"}, "latency_ms": {"type": "array", "items": {"type": ["number", "null"]}}}}}
            }
          },
          "Time": {"type": "string", "format": "date-time"},
          "TimeOrNull": {"type": ["string", "null"], "format": "date-time"},
          "Status": {"enum": ["up", "degraded", "down", "unknown", "drain", "maint", "ejected"]},
          "Duration": {"type": "string", "pattern": "^[1-9][0-9]{0,3}(ms|s)$"},
          "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "instance"],
            "properties": {
              "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
              "detail": {"type": "string"}, "instance": {"type": "string"},
              "revision": {"type": "integer"}
            }
          },
          "Upstreams": {"type": "object", "required": ["upstreams"], "properties": {"upstreams": {"type": "array", "items": {"$ref": "#/components/schemas/Upstream"}}}},
          "Upstream": {
            "type": "object",
            "required": ["name", "revision", "balance", "status", "panic", "peers", "monitors"],
            "properties": {
              "name": {"type": "string"}, "revision": {"type": "integer"}, "balance": {"type": "string"},
              "status": {"enum": ["up", "degraded", "down", "unknown", "drain", "maint", "panic"]}, "panic": {"type": "boolean"},
              "panic_since": {"$ref": "#/components/schemas/TimeOrNull"},
              "available": {"type": "integer"}, "wanted": {"type": "integer"}, "unavailable_status": {"type": "integer"},
              "refusals": {"type": "array", "items": {"type": "object", "required": ["cause", "setting", "answer", "count", "since", "last", "text"], "properties": {"cause": {"enum": ["full", "queue-timeout", "retry-budget"]}, "setting": {"type": "string"}, "answer": {"type": "integer"}, "count": {"type": "integer"}, "since": {"$ref": "#/components/schemas/Time"}, "last": {"$ref": "#/components/schemas/Time"}, "text": {"type": "string"}}}},
              "zone": {"enum": ["own", "all", null]},
              "peers": {"type": "array", "items": {"$ref": "#/components/schemas/Peer"}},
              "monitors": {"type": "array", "items": {"type": "object", "required": ["id", "kind", "required", "rise", "fall", "interval"], "properties": {"id": {"type": "string"}, "kind": {"type": "string"}, "required": {"type": "boolean"}, "rise": {"type": "integer"}, "fall": {"type": "integer"}, "interval": {"type": "string"}}}}
            }
          },
          "Peer": {
            "type": "object",
            "required": ["id", "address", "weight", "configured_weight", "effective_weight", "backup", "zone", "status", "intent", "since", "reason", "disagreement", "traffic", "checks"],
            "properties": {
              "id": {"type": "string"}, "address": {"type": "string"},
              "weight": {"type": "integer", "minimum": 0, "maximum": 256}, "configured_weight": {"type": "integer"},
              "effective_weight": {"type": "number"}, "backup": {"type": "boolean"}, "zone": {"type": ["string", "null"]},
              "status": {"$ref": "#/components/schemas/Status"}, "intent": {"enum": ["ready", "drain", "maint"]},
              "since": {"$ref": "#/components/schemas/Time"}, "reason": {"type": "string"},
              "disagreement": {"enum": ["traffic-fails", "probes-fail", "agents-differ", null]},
              "traffic": {"type": "object", "required": ["requests", "failures", "ejected_until", "votes"], "properties": {"requests": {"type": "integer"}, "failures": {"type": "integer"}, "ejected_until": {"$ref": "#/components/schemas/TimeOrNull"}, "votes": {"type": "array", "items": {"type": "object", "required": ["agent", "requests", "failures", "window_ms", "until"], "properties": {"agent": {"type": "string"}, "requests": {"type": "integer"}, "failures": {"type": "integer"}, "window_ms": {"type": "integer"}, "until": {"$ref": "#/components/schemas/Time"}}}}}},
              "checks": {"type": "array", "items": {"$ref": "#/components/schemas/Check"}},
              "intent_reason": {"type": "string"}, "intent_until": {"$ref": "#/components/schemas/TimeOrNull"}, "intent_by": {"type": ["string", "null"]},
              "weight_reason": {"type": "string"}, "weight_until": {"$ref": "#/components/schemas/TimeOrNull"}, "weight_by": {"type": ["string", "null"]},
              "max_connections": {"type": "integer"}, "source": {"type": "string"}, "revision": {"type": "integer"},
              "acknowledged": {"enum": ["stored", "agent", "memory"]}, "acknowledged_note": {"type": "string"}, "warning": {"type": "string"}
            }
          },
          "Check": {
            "type": "object",
            "required": ["monitor", "kind", "required", "status", "health", "rise", "fall", "layer", "reason", "code", "message", "latency_ms", "since", "checked_at", "expires_at", "agent", "held", "confirmed", "votes"],
            "properties": {
              "monitor": {"type": "string"}, "kind": {"type": "string"}, "required": {"type": "boolean"},
              "status": {"$ref": "#/components/schemas/Status"}, "health": {"type": "integer"}, "rise": {"type": "integer"}, "fall": {"type": "integer"},
              "layer": {"type": ["string", "null"]}, "reason": {"type": "string"}, "code": {"type": ["integer", "null"]},
              "message": {"type": "string"}, "latency_ms": {"type": ["number", "null"]},
              "since": {"$ref": "#/components/schemas/TimeOrNull"}, "checked_at": {"$ref": "#/components/schemas/TimeOrNull"}, "expires_at": {"$ref": "#/components/schemas/TimeOrNull"},
              "agent": {"type": ["string", "null"]}, "held": {"enum": ["mass-change", "unconfirmed", "doubt", null]},
              "confirmed": {"type": ["string", "null"]}, "unconfirmed": {"type": "boolean"},
              "votes": {"type": "array", "items": {"$ref": "#/components/schemas/Vote"}},
              "down_addresses": {"type": "array", "items": {"type": "string"}}
            }
          },
          "Receivers": {"type": "object", "required": ["receivers"], "properties": {"receivers": {"type": "array", "items": {"$ref": "#/components/schemas/Receiver"}}}},
          "Receiver": {
            "type": "object",
            "required": ["name", "kind", "state", "agent", "waiting", "troubled", "sent", "failed", "left_out", "suppressed", "last_sent", "quiet_until", "failing_since", "next_attempt", "error"],
            "properties": {
              "name": {"type": "string"}, "kind": {"type": "string"}, "state": {"enum": ["ok", "failing", "quiet", "standby"]}, "agent": {"type": "string"},
              "waiting": {"type": "integer"}, "troubled": {"type": "integer"}, "sent": {"type": "integer"}, "failed": {"type": "integer"},
              "left_out": {"type": "integer"}, "suppressed": {"type": "integer"},
              "last_sent": {"$ref": "#/components/schemas/TimeOrNull"}, "quiet_until": {"$ref": "#/components/schemas/TimeOrNull"},
              "failing_since": {"$ref": "#/components/schemas/TimeOrNull"}, "next_attempt": {"$ref": "#/components/schemas/TimeOrNull"},
              "error": {"type": ["string", "null"]}
            }
          },
          "Tested": {"type": "object", "required": ["receiver", "arrived"], "properties": {"receiver": {"type": "string"}, "arrived": {"type": "boolean"}, "error": {"type": "string"}}},
          "Vote": {"type": "object", "required": ["agent", "status", "at"], "properties": {"agent": {"type": "string"}, "status": {"enum": ["passes", "fails", "abstains", null]}, "reason": {"type": ["string", "null"]}, "at": {"$ref": "#/components/schemas/TimeOrNull"}}},
          "Order": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
              "intent": {"enum": ["ready", "drain", "maint"]},
              "weight": {"type": ["integer", "null"], "minimum": 0, "maximum": 256},
              "reason": {"type": "string", "maxLength": 256, "pattern": "^[ -~]*$"},
              "until": {"anyOf": [{"$ref": "#/components/schemas/Duration"}, {"type": "null"}]}
            },
            "anyOf": [
              {"required": ["intent"], "properties": {"intent": {"enum": ["drain", "maint"]}}},
              {"required": ["weight"], "properties": {"weight": {"type": "integer"}}},
              {"anyOf": [{"required": ["intent"]}, {"required": ["weight"]}], "properties": {"reason": {"not": {}}, "until": {"not": {}}}}
            ]
          },
          "Heartbeat": {
            "type": "object",
            "additionalProperties": false,
            "required": ["status"],
            "properties": {"status": {"enum": ["pass", "warn", "fail"]}, "message": {"type": "string"}}
          },
          "Results": {
            "type": "object",
            "required": ["results"],
            "properties": {"results": {"type": "array", "items": {"type": "object", "required": ["monitor", "kind", "verdict", "reason", "message", "phases_ms", "steps"], "properties": {"monitor": {"type": "string"}, "kind": {"type": "string"}, "verdict": {"enum": ["pass", "warn", "fail", "neutral"]}, "layer": {"type": ["string", "null"]}, "reason": {"type": "string"}, "code": {"type": ["integer", "null"]}, "message": {"type": "string"}, "phases_ms": {"type": "object"}, "steps": {"type": "array", "items": {}}}}}}
          },
          "Address": {"type": "string", "pattern": "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3})$", "description": "host:port; [v6]:port and unix:/path are taken too."},
          "PeerDefinition": {
            "type": "object",
            "additionalProperties": false,
            "required": ["address"],
            "properties": {
              "address": {"$ref": "#/components/schemas/Address"},
              "id": {"anyOf": [{"$ref": "#/components/schemas/Name"}, {"type": "null"}]},
              "weight": {"type": ["integer", "null"], "minimum": 1, "maximum": 256},
              "backup": {"type": ["boolean", "null"]}, "down": {"type": ["boolean", "null"]},
              "zone": {"anyOf": [{"$ref": "#/components/schemas/Name"}, {"type": "null"}]},
              "max-connections": {"type": ["integer", "null"], "minimum": 1, "maximum": 1000000},
              "max-fails": {"type": ["integer", "null"], "minimum": 0, "maximum": 1000000},
              "fail-timeout": {"anyOf": [{"$ref": "#/components/schemas/Duration"}, {"type": "null"}]}
            }
          },
          "MonitorDefinition": {
            "description": "One kind of check with its settings, as in the configuration file.",
            "oneOf": [
              {"type": "object", "additionalProperties": false, "required": ["tcp"], "properties": {"tcp": {"$ref": "#/components/schemas/Schedule"}}},
              {"type": "object", "additionalProperties": false, "required": ["http"], "properties": {"http": {"$ref": "#/components/schemas/HTTPCheck"}}}
            ]
          },
          "Schedule": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
              "id": {"$ref": "#/components/schemas/Name"},
              "rise": {"type": "integer", "minimum": 1, "maximum": 100}, "fall": {"type": "integer", "minimum": 1, "maximum": 100},
              "required": {"type": "boolean"}
            }
          },
          "HTTPCheck": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
              "id": {"$ref": "#/components/schemas/Name"},
              "rise": {"type": "integer", "minimum": 1, "maximum": 100}, "fall": {"type": "integer", "minimum": 1, "maximum": 100},
              "required": {"type": "boolean"},
              "path": {"type": "string", "pattern": "^/[a-z0-9/]{0,64}$"},
              "method": {"enum": ["GET", "OPTIONS"]}
            }
          },
          "UpstreamDefinition": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
              "peers": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/PeerDefinition"}},
              "balance": {"enum": ["round-robin", "unweighted-round-robin", "least-connections", "random-two", "ip-hash", "first", "peak-ewma", null]},
              "slow-start": {"anyOf": [{"$ref": "#/components/schemas/Duration"}, {"type": "null"}]},
              "on-down": {"enum": ["keep", "close-idle", "close-all", null]},
              "all-down": {"enum": ["fail-open", "fail-closed", "backup", null]},
              "lenient": {"type": ["boolean", "null"]}
            }
          },
          "RouteDefinition": {
            "type": "object",
            "additionalProperties": false,
            "required": ["upstream"],
            "properties": {
              "upstream": {"$ref": "#/components/schemas/Name"},
              "host": {"type": ["string", "null"], "pattern": "^([a-z][a-z0-9]{0,20}[.]){1,3}test$"},
              "path": {"type": ["string", "null"], "pattern": "^/[a-z0-9]{0,20}$"},
              "strip-prefix": {"type": ["boolean", "null"]}
            }
          },
          "Defined": {
            "type": "object",
            "required": ["acknowledged"],
            "properties": {
              "upstream": {"type": "string"}, "peer": {"type": "string"}, "monitor": {"type": "string"}, "route": {"type": "string"},
              "outcome": {"enum": ["made", "changed", "same", "gone"]}, "in_file": {"type": "boolean"},
              "acknowledged": {"enum": ["stored", "agent", "memory"]}, "acknowledged_note": {"type": "string"}, "revision": {"type": "integer"}
            }
          },
          "Definitions": {"type": "object", "required": ["definitions"], "properties": {"definitions": {"type": "array", "items": {"type": "object", "required": ["kind", "name", "body", "in_file", "by", "since", "problem", "left_out"], "properties": {"kind": {"enum": ["upstream", "peer", "monitor", "route"]}, "name": {"type": "string"}, "body": {}, "in_file": {"type": "boolean"}, "by": {"type": ["string", "null"]}, "since": {"$ref": "#/components/schemas/TimeOrNull"}, "problem": {"type": ["string", "null"]}, "left_out": {"type": "boolean"}}}}}},
          "Routes": {"type": "object", "required": ["routes", "sources"], "properties": {"sources": {"type": "array", "items": {"type": "object", "required": ["kind", "name", "url", "connected", "hosts"], "properties": {"kind": {"type": "string"}, "name": {"type": "string"}, "url": {"type": "string"}, "connected": {"type": "boolean"}, "hosts": {"type": "integer", "minimum": 0}}}}, "routes": {"type": "array", "items": {"type": "object", "required": ["id", "source", "listener", "host", "path", "strip_prefix", "upstream", "problem"], "properties": {"id": {"type": ["string", "null"]}, "source": {"enum": ["file", "api"]}, "listener": {"type": ["string", "null"]}, "host": {"type": "string"}, "path": {"type": "string"}, "strip_prefix": {"type": "boolean"}, "upstream": {"type": "string"}, "problem": {"type": ["string", "null"]}}}}}},
          "Agents": {"type": "object", "required": ["agents", "complete"], "properties": {"agents": {"type": "array", "items": {"type": "object", "required": ["id", "version", "zone", "started", "seen", "state", "pairs", "share", "lateness_ms", "doubt", "reasons"], "properties": {"id": {"type": "string"}, "version": {"type": "string"}, "zone": {"type": ["string", "null"]}, "started": {"$ref": "#/components/schemas/TimeOrNull"}, "seen": {"$ref": "#/components/schemas/Time"}, "state": {"enum": ["member", "joining", "observing", "leaving", "left", "silent", "older"]}, "weight": {"type": "number"}, "pairs": {"type": "integer"}, "share": {"type": "number", "minimum": 0, "maximum": 1}, "lateness_ms": {"type": "integer"}, "doubt": {"type": "number", "minimum": 0, "maximum": 1}, "reasons": {"type": "array", "items": {"enum": ["loop-lag", "network", "store", "mass-failure"]}}, "doubt_since": {"$ref": "#/components/schemas/TimeOrNull"}, "held": {"$ref": "#/components/schemas/HeldOrNull"}, "lease_ms": {"type": ["integer", "null"]}, "settle_ms": {"type": ["integer", "null"]}}}}, "complete": {"type": "boolean"}, "heard_until": {"$ref": "#/components/schemas/TimeOrNull"}, "write_error": {"type": ["string", "null"]}, "twin": {"type": ["string", "null"]}, "waits": {"type": ["string", "null"]}, "fleet_error": {"type": ["string", "null"]}}},
          "Explanation": {"type": "object", "required": ["owner", "why", "rank", "observers", "next_probe_at", "layers", "transitions", "votes", "would_change"], "properties": {"owner": {"type": ["string", "null"]}, "why": {"type": "string"}, "rank": {"type": "array", "items": {"type": "string"}}, "observers": {"type": "array", "items": {"type": "string"}}, "next_probe_at": {"$ref": "#/components/schemas/TimeOrNull"}, "told_by": {"type": "string"}, "as_of": {"$ref": "#/components/schemas/TimeOrNull"}, "layers": {"type": "array", "items": {"type": "object", "required": ["layer", "says", "reason"]}}, "transitions": {"type": "array", "items": {}}, "votes": {"type": "array", "items": {"$ref": "#/components/schemas/Vote"}}, "would_change": {"type": "array", "items": {"type": "string"}}}},
          "Store": {"type": "object", "required": ["kind", "connected", "writable", "since"], "properties": {"kind": {"enum": ["embedded", "redis"]}, "connected": {"type": "boolean"}, "writable": {"type": "boolean"}, "since": {"$ref": "#/components/schemas/Time"}, "error": {"type": ["string", "null"]}, "write_error": {"type": ["string", "null"]}, "advice": {"type": ["string", "null"]}, "server": {"type": ["string", "null"]}, "as_of": {"$ref": "#/components/schemas/TimeOrNull"}}},
          "Reloaded": {"type": "object", "required": ["changes", "later", "warnings"], "properties": {"changes": {"type": "array", "items": {"type": "string"}}, "later": {"type": "array", "items": {"type": "string"}}, "warnings": {"type": "array", "items": {"type": "string"}}}},
          "Health": {"type": "object", "required": ["status", "agent", "uptime_s"], "properties": {"status": {"const": "ok"}, "agent": {"type": "string"}, "uptime_s": {"type": "number"}}},
          "HeldOrNull": {"type": ["object", "null"], "required": ["since", "pairs"], "properties": {"since": {"$ref": "#/components/schemas/Time"}, "pairs": {"type": "integer", "minimum": 1}}},
          "Readiness": {
            "type": "object",
            "required": ["ready", "store", "fleet", "unprobed", "overdue", "other_definitions"],
            "properties": {
              "ready": {"type": "boolean"}, "store": {"$ref": "#/components/schemas/Store"}, "unprobed": {"type": "array", "items": {"type": "string"}},
              "fleet": {"type": ["object", "null"], "required": ["state", "agents", "doubt", "reasons", "text", "held"], "properties": {"state": {"type": "string"}, "agents": {"type": "integer"}, "doubt": {"type": "number"}, "reasons": {"type": "array", "items": {}}, "text": {"type": "string"}, "held": {"$ref": "#/components/schemas/HeldOrNull"}}},
              "overdue": {"type": ["object", "null"], "required": ["pairs", "longest_ms", "text"], "properties": {"pairs": {"type": "integer"}, "longest_ms": {"type": "integer"}, "text": {"type": "string"}}},
              "other_definitions": {"type": ["object", "null"], "required": ["pairs", "agents", "first"], "properties": {"pairs": {"type": "integer"}, "agents": {"type": "array", "items": {"type": "string"}}, "first": {"type": "string"}}},
              "sources": {"type": "array", "items": {"type": "object", "required": ["kind", "name", "url", "connected", "since", "error", "frontends", "backends", "marks"], "properties": {"kind": {"enum": ["hipache", "redis-keys"]}, "name": {"type": "string"}, "url": {"type": "string"}, "connected": {"type": "boolean"}, "since": {"$ref": "#/components/schemas/Time"}, "error": {"type": ["string", "null"]}, "frontends": {"type": "integer"}, "backends": {"type": "integer"}, "marks": {"type": ["integer", "null"]}}}},
              "tracing": {"type": ["object", "null"], "required": ["state", "since", "error", "refusal", "warning", "waiting", "made", "sent", "dropped"], "properties": {"state": {"enum": ["ok", "failing"]}, "since": {"$ref": "#/components/schemas/TimeOrNull"}, "error": {"type": ["string", "null"]}, "refusal": {"type": ["string", "null"]}, "warning": {"type": ["string", "null"]}, "waiting": {"type": "integer", "minimum": 0}, "made": {"type": "integer", "minimum": 0}, "sent": {"type": "integer", "minimum": 0}, "dropped": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}}}
            }
          }
        }
        """#
}
