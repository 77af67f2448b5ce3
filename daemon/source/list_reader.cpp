#include <fmt/format.h>
#include <simdjson.h>

#include <cstring>

#include "daemon/source/decode.hpp"

namespace ipvsd {
namespace {

// Metadata, kind and apiVersion: a few hundred bytes.
constexpr std::size_t envelope_limit = 1U << 20;
// simdjson's own limit is 1024.
constexpr int depth_limit = 1000;
// Who wrote which field last: almost half the bytes of an object, and of no use here. Its brackets stay, what is
// between them is not even parsed. As the API server writes it, in "metadata"; nothing that is read has it at this
// depth elsewhere.
constexpr std::string_view managed_fields_key = ",\"managedFields\":";
constexpr int managed_fields_depth = 2;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// Whether the text so far, outside strings, is a key of the outermost object that says that its items follow.
bool ends_in_items_key(std::string_view envelope) {
  const auto chop = [&] {
    while (!envelope.empty() && is_space(envelope.back())) envelope.remove_suffix(1);
  };
  constexpr std::string_view key = "\"items\"";
  chop();
  if (!envelope.ends_with(':')) return false;
  envelope.remove_suffix(1);
  chop();
  if (!envelope.ends_with(key)) return false;
  envelope.remove_suffix(key.size());
  chop();
  // Else the quote was an escaped one, within a longer key.
  return envelope.ends_with('{') || envelope.ends_with(',');
}

bool ends_with(std::string_view first, std::string_view second, std::string_view end) {
  if (second.size() >= end.size()) return second.ends_with(end);
  return end.ends_with(second) && first.ends_with(end.substr(0, end.size() - second.size()));
}

}  // namespace

ListReader::ListReader(ItemCallback item, std::size_t item_limit, ManagedFields managed_fields)
    : item_(std::move(item)), item_limit_(item_limit), managed_fields_(managed_fields) {}

Result<void> ListReader::feed(std::string_view bytes) {
  while (!bytes.empty() && !error_) {
    std::size_t used = 0;
    switch (state_) {
      case State::envelope: used = feed_envelope(bytes); break;
      case State::before_item:
      case State::after_item: used = feed_between(bytes); break;
      case State::item: used = feed_item(bytes); break;
    }
    bytes.remove_prefix(used);
  }
  if (error_) return fail(*error_);
  return {};
}

void ListReader::refuse(std::string text) {
  pending_.clear();
  error_ = Error{Errc::malformed, 0, "list: " + std::move(text)};
}

// Skips one piece of a string; sets in_string_ to false behind its end.
std::size_t ListReader::skip_string(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    if (escaped_) {
      escaped_ = false;
      ++at;
      continue;
    }
    const auto* quote = static_cast<const char*>(std::memchr(bytes.data() + at, '"', bytes.size() - at));
    const std::size_t end = quote == nullptr ? bytes.size() : static_cast<std::size_t>(quote - bytes.data());
    // An odd number of backslashes before the end escapes what follows. Those before `at` are paired off already.
    std::size_t backslashes = 0;
    while (end - backslashes > at && bytes[end - backslashes - 1] == '\\') ++backslashes;
    at = end;
    escaped_ = backslashes % 2 == 1;
    if (quote != nullptr && !escaped_) {
      in_string_ = false;
      return at + 1;
    }
  }
  return at;
}

std::size_t ListReader::feed_envelope(std::string_view bytes) {
  if (in_string_) {
    const auto used = skip_string(bytes);
    envelope_.append(bytes.substr(0, used));
    if (envelope_.size() > envelope_limit) refuse(fmt::format("more than {} bytes beside its items", envelope_limit));
    return used;
  }
  const char c = bytes.front();
  if (c == '[' && depth_ == 1 && ends_in_items_key(envelope_)) {
    if (seen_items_) refuse("has items twice");
    seen_items_ = true;
    first_item_ = true;
    state_ = State::before_item;
  } else if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    if (++depth_ > depth_limit) refuse("nested too deeply");
  } else if (c == '}' || c == ']') {
    --depth_;
  }
  envelope_ += c;
  if (envelope_.size() > envelope_limit) refuse(fmt::format("more than {} bytes beside its items", envelope_limit));
  return 1;
}

std::size_t ListReader::feed_between(std::string_view bytes) {
  const char c = bytes.front();
  if (is_space(c)) return 1;
  if (c == ']' && (state_ == State::after_item || first_item_)) {
    envelope_ += c;
    state_ = State::envelope;
  } else if (c == ',' && state_ == State::after_item) {
    state_ = State::before_item;
  } else if (state_ == State::before_item && c != ',' && c != ']') {
    first_item_ = false;
    item_depth_ = 0;
    state_ = State::item;
    return 0;
  } else {
    refuse(fmt::format("unexpected '{}' between items", is_space(c) || c < 0x20 || c > 0x7e ? '?' : c));
  }
  return 1;
}

std::size_t ListReader::feed_item(std::string_view bytes) {
  std::size_t at = 0;
  std::size_t held = 0;  // before it all is in pending_, or left out
  bool complete = false;
  while (at < bytes.size() && !complete) {
    if (in_string_) {
      at += skip_string(bytes.substr(at));
      continue;
    }
    switch (bytes[at]) {
      case '"': {
        // Most strings end within this piece, at the first quote.
        const auto* quote = static_cast<const char*>(std::memchr(bytes.data() + at + 1, '"', bytes.size() - at - 1));
        if (quote != nullptr && quote[-1] != '\\')
          at = static_cast<std::size_t>(quote - bytes.data());
        else
          in_string_ = true;
        break;
      }
      case '[':
        if (managed_fields_ == ManagedFields::leave_out && item_depth_ == managed_fields_depth && !leaving_out_ &&
            ends_with(pending_, bytes.substr(held, at - held), managed_fields_key)) {
          hold(bytes.substr(held, at + 1 - held));
          leaving_out_ = true;
        }
        [[fallthrough]];
      case '{':
        if (++item_depth_ > depth_limit) refuse("nested too deeply");
        break;
      case '}':
      case ']':
        // At depth 0 it ends the list, and with it an item that is a bare value; what follows says whether it may.
        if (item_depth_ == 0) {
          end_item(bytes.substr(held, at - held));
          return at;
        }
        complete = --item_depth_ == 0;
        if (leaving_out_ && item_depth_ == managed_fields_depth) {
          held = at;
          leaving_out_ = false;
        }
        break;
      case ',':
        if (item_depth_ == 0) {
          end_item(bytes.substr(held, at - held));
          return at;
        }
        break;
      default: break;
    }
    ++at;
  }
  if (error_) return at;
  const auto rest = leaving_out_ ? std::string_view{} : bytes.substr(held, at - held);
  if (complete)
    end_item(rest);
  else
    hold(rest);
  return at;
}

void ListReader::hold(std::string_view piece) {
  if (pending_.size() + piece.size() > item_limit_)
    refuse(fmt::format("an item of more than {} bytes", item_limit_));
  else
    pending_.append(piece);
}

void ListReader::end_item(std::string_view last_piece) {
  state_ = State::after_item;
  const bool whole = pending_.empty() && last_piece.size() <= item_limit_;
  if (!whole) hold(last_piece);
  if (error_) return;
  item_(whole ? last_piece : pending_);
  pending_.clear();
}

Result<ListReader::ListMeta> ListReader::finish() {
  if (error_) return fail(*error_);
  if (state_ != State::envelope) return fail(Errc::malformed, "list: cut short within its items");
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (const auto error = parser.parse(envelope_).get(root); error != simdjson::SUCCESS)
    return fail(Errc::malformed, fmt::format("list: not valid JSON: {}", simdjson::error_message(error)));
  // An array that was not taken out above (an escaped key, say) would be objects lost in silence.
  const auto items = root["items"];
  const bool none = items.is_null() || (items.is_array() && items.get_array().size() == 0);
  if (items.error() != simdjson::SUCCESS || !none) return fail(Errc::malformed, "list: no items");

  ListMeta meta;
  const auto text = [](simdjson::simdjson_result<simdjson::dom::element> field) {
    std::string_view value;
    return std::string(field.get(value) == simdjson::SUCCESS ? value : std::string_view{});
  };
  meta.resource_version = text(root["metadata"]["resourceVersion"]);
  meta.continue_token = text(root["metadata"]["continue"]);
  meta.kind = text(root["kind"]);
  return meta;
}

}  // namespace ipvsd
