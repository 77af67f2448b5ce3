// What a source of objects tells the loop. Within one kind, events arrive in order; between kinds they do not,
// and nothing may depend on it.
#pragma once

#include <variant>

#include "model/objects.hpp"

namespace ipvsd {

// The object exists and looks like this now.
struct Upsert {
  Object object;
};
// The object is gone.
struct Remove {
  Kind kind;
  ObjectKey key;
};
// The object exists but could not be read: what is known of it stays, and a replacement does not sweep it.
struct Keep {
  Kind kind;
  ObjectKey key;
};
// A complete list of one kind follows as Upserts and Keeps, up to ReplaceEnd; only then are the objects that
// it did not mention removed. A list that is streamed may also have Removes of what went meanwhile. A second
// ReplaceBegin without an end starts over: nothing is lost by a list that breaks off.
struct ReplaceBegin {
  Kind kind;
};
struct ReplaceEnd {
  Kind kind;
};

using ClusterEvent = std::variant<Upsert, Remove, Keep, ReplaceBegin, ReplaceEnd>;

// Where sources put events, in batches; implemented by the loop's inbox, and by a vector in tests.
// Thread-safe. May block while the loop is behind, which slows the reader and thereby the server.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void push(std::vector<ClusterEvent> events) = 0;
};

}  // namespace ipvsd
