// JSON bytes of the Kubernetes API -> model objects. Pure; hostile bytes give an Error, never more. The parser's
// buffers are reused, so one Decoder belongs to one thread.
//
// The shapes: Service core/v1, EndpointSlice discovery.k8s.io/v1, Node core/v1; metav1.WatchEvent, Status, ListMeta.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "model/objects.hpp"

namespace ipvsd {

// Why an object was refused: `key` as far as it could be read (empty name: not even that), and an error such as
// "Service default/web: spec.ports[1].port: expected an integer from 1 to 65535, got \"http\"".
struct Rejected {
  ObjectKey key;
  std::string path;  // of the offending field: "spec.ports[1].port"; "" if none
  Error error;
};

using DecodedObject = tl::expected<Decoded<Object>, Rejected>;

// One frame of a watch.
struct WatchFrame {
  enum class Type { added, modified, deleted, bookmark, error };
  Type type = Type::bookmark;
  // added, modified, deleted: the object. For deleted, only its key is needed to be readable.
  std::optional<DecodedObject> object;
  ObjectKey key;                    // of the object, where readable
  std::string resource_version;     // object's or bookmark's; "" if absent
  bool initial_events_end = false;  // a bookmark annotated k8s.io/initial-events-end: "true"
  int status_code = 0;              // error: Status.code
  std::string status_message;       // error: "reason: message"
};

// One object of a manifest.
struct ManifestObject {
  std::optional<Kind> kind;             // empty: unreadable (object says why), or none of ours (other says which)
  std::string other;                    // "apps/v1 Deployment"
  std::optional<DecodedObject> object;  // empty: none of ours
};

class Decoder {
 public:
  Decoder();
  ~Decoder();
  Decoder(Decoder&&) noexcept;
  Decoder& operator=(Decoder&&) noexcept;

  // One object as an item of a list or of a watch frame; `kind` and `apiVersion` need not be there (list items have
  // neither), but must fit if they are.
  [[nodiscard]] DecodedObject object(Kind kind, std::string_view json);

  // As object(), for text that no API server has seen: it names its kind, unless it is an item of a list of kind
  // `list_kind` ("ServiceList"), and gets the server's defaulting.
  [[nodiscard]] ManifestObject manifest(std::string_view json, std::string_view list_kind = {});

  // One line of a watch stream. Error (malformed): not a watch event at all.
  [[nodiscard]] Result<WatchFrame> watch_frame(Kind kind, std::string_view line);

  // metav1.Status of an error answer: "reason: message (code)"; if it is no Status, the start of the text.
  [[nodiscard]] std::string status_text(std::string_view json);

 private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

// Takes a LIST answer in pieces of any size and hands out each element of "items" as soon as it is complete, so that
// only one object is held at a time.
class ListReader {
 public:
  // `item` gets the bytes of one element; they are valid during the call. Those of an element that lies within one
  // piece, with nothing left out, are that piece's own.
  using ItemCallback = std::function<void(std::string_view item)>;
  // Left out: the brackets stay, what is between them goes.
  enum class ManagedFields { leave_out, keep };
  // An item larger than `item_limit` bytes ends the list with an error (malformed).
  explicit ListReader(ItemCallback item, std::size_t item_limit = 16U << 20,
                      ManagedFields managed_fields = ManagedFields::leave_out);

  [[nodiscard]] Result<void> feed(std::string_view bytes);

  struct ListMeta {
    std::string resource_version;
    std::string continue_token;  // "": this was the last page
    std::string kind;            // "ServiceList"; "" if absent
  };
  // Once the whole answer has been fed. Error (malformed): it was cut short, or is no list.
  [[nodiscard]] Result<ListMeta> finish();

 private:
  // The text outside the items goes to envelope_ and is parsed at the end; an item that spans pieces to pending_.
  enum class State { envelope, before_item, item, after_item };
  // Each takes bytes off the front and returns how many.
  std::size_t feed_envelope(std::string_view bytes);
  std::size_t feed_between(std::string_view bytes);
  std::size_t feed_item(std::string_view bytes);
  std::size_t skip_string(std::string_view bytes);
  void hold(std::string_view piece);
  void end_item(std::string_view last_piece);
  void refuse(std::string text);

  ItemCallback item_;
  std::size_t item_limit_;
  ManagedFields managed_fields_;
  State state_ = State::envelope;
  std::string envelope_;
  std::string pending_;
  int depth_ = 0;  // of the envelope
  int item_depth_ = 0;
  bool leaving_out_ = false;  // managedFields of the item
  bool in_string_ = false;
  bool escaped_ = false;
  bool seen_items_ = false;
  bool first_item_ = true;
  std::optional<Error> error_;
};

}  // namespace ipvsd
