#include "daemon/source/decode.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "daemon/source/decode_kinds.hpp"
#include "daemon/source/manifest_defaults.hpp"

namespace ipvsd {

struct Decoder::Buffers {
  simdjson::dom::parser parser;
  CommonNames names;
};

Decoder::Decoder() : buffers_(std::make_unique<Buffers>()) {}
Decoder::~Decoder() = default;
Decoder::Decoder(Decoder&&) noexcept = default;
Decoder& Decoder::operator=(Decoder&&) noexcept = default;

bool is_ignored(const JsonValue& labels) {
  return labels.has("service.kubernetes.io/headless") || labels.has("service.kubernetes.io/service-proxy-name");
}

Protocol decode_protocol(const JsonValue& value) {
  if (value.text().empty()) return Protocol::tcp;
  const auto protocol = parse_protocol(value.text());
  if (!protocol) value.refuse_type("TCP, UDP or SCTP");
  return protocol.value_or(Protocol::tcp);
}

namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view space = " \t\r\n\v\f";
  const auto first = text.find_first_not_of(space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(space) - first + 1);
}

// Names travel into logs, metrics and set comments: nothing but what DNS names are made of.
bool is_dns_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  });
}

std::string_view read_name(const JsonValue& value) {
  const auto name = value.name();
  if (is_dns_name(name)) return name;
  value.refuse_type("a DNS name");
  return {};
}

// A manifest gets the API server's defaulting.
enum class Origin { server, manifest };

ObjectKey read_key(Kind kind, Origin origin, const JsonValue& root) {
  const auto metadata = root.field("metadata");
  const auto ns = metadata.field("namespace");
  ObjectKey key;
  if (kind != Kind::node) key.ns = origin == Origin::manifest && ns.text().empty() ? default_namespace : read_name(ns);
  key.name = read_name(metadata.field("name"));
  return key;
}

std::string_view api_version(Kind kind) { return kind == Kind::endpoint_slice ? "discovery.k8s.io/v1" : "v1"; }

void check_kind(Kind kind, const JsonValue& root) {
  const auto version = root.field("apiVersion");
  const auto name = root.field("kind");
  const auto wanted = api_version(kind);
  if (!name.text().empty() && name.text() != to_string(kind)) name.refuse_type(to_string(kind));
  if (!version.text().empty() && version.text() != wanted) version.refuse_type(wanted);
}

Rejected rejected(Kind kind, ObjectKey key, const Reading::Refusal& refusal) {
  std::string text(to_string(kind));
  if (!key.name.empty()) text += " " + key.to_string();
  if (!refusal.path.empty()) text += ": " + refusal.path;
  return {std::move(key), refusal.path, Error{Errc::malformed, 0, fmt::format("{}: {}", text, refusal.text)}};
}

Object decode_kind(Kind kind, Origin origin, const JsonValue& root, const ObjectKey& key, CommonNames& names) {
  switch (kind) {
    case Kind::service: {
      Service service;
      service.key = key;
      decode_service(root, service);
      if (origin == Origin::manifest) manifest_defaults(root, service);
      return service;
    }
    case Kind::endpoint_slice: {
      EndpointSlice slice;
      slice.key = key;
      decode_endpoint_slice(root, slice, names);
      if (origin == Origin::manifest) manifest_defaults(root, slice);
      return slice;
    }
    case Kind::node: break;
  }
  Node node;
  node.name = key.name;
  decode_node(root, node);
  return node;
}

DecodedObject decode(Kind kind, simdjson::dom::element element, CommonNames& names, Origin origin = Origin::server) {
  Reading reading;
  const JsonValue root(reading, element);
  auto key = read_key(kind, origin, root);
  if (!reading.refused()) check_kind(kind, root);
  Object object;
  if (!reading.refused()) object = decode_kind(kind, origin, root, key, names);
  if (reading.refused()) return tl::unexpected(rejected(kind, std::move(key), reading.refusal()));
  return Decoded<Object>{std::move(object), reading.take_warnings()};
}

// The first bytes of something that is not what was expected, fit for a log line.
std::string excerpt(std::string_view text, std::size_t limit = 200) {
  std::string line(text.substr(0, limit));
  for (auto& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = ' ';
  return line;
}

std::string status_line(const JsonValue& status) {
  const auto reason = status.field("reason").text();
  const auto message = status.field("message").text();
  if (reason.empty() || message.empty()) return excerpt(reason.empty() ? message : reason, 500);
  return excerpt(fmt::format("{}: {}", reason, message.substr(0, 500)), 600);
}

std::optional<WatchFrame::Type> frame_type(std::string_view text) {
  if (text == "ADDED") return WatchFrame::Type::added;
  if (text == "MODIFIED") return WatchFrame::Type::modified;
  if (text == "DELETED") return WatchFrame::Type::deleted;
  if (text == "BOOKMARK") return WatchFrame::Type::bookmark;
  if (text == "ERROR") return WatchFrame::Type::error;
  return {};
}

}  // namespace

std::optional<IpAddress> decode_address(const JsonValue& value) {
  const auto text = trim(value.text());
  if (text.empty()) return {};
  const auto address = IpAddress::parse(text);
  if (address) return *address;
  value.warn(address.error().context);
  return {};
}

std::optional<IpAddress> decode_vip(const JsonValue& value) {
  const auto address = decode_address(value);
  if (!address || !(address->is_unspecified() || address->is_loopback())) return address;
  value.warn(fmt::format("{} cannot be the address of a Service", address->to_string()));
  return {};
}

std::optional<Cidr> decode_cidr(const JsonValue& value) {
  const auto text = trim(value.text());
  if (text.empty()) return {};
  const auto cidr = Cidr::parse(text);
  if (cidr) return *cidr;
  value.warn(cidr.error().context);
  return {};
}

DecodedObject Decoder::object(Kind kind, std::string_view json) {
  simdjson::dom::element element;
  const auto error = buffers_->parser.parse(json.data(), json.size()).get(element);
  if (error != simdjson::SUCCESS)
    return tl::unexpected(rejected(kind, {}, {"", fmt::format("not valid JSON: {}", simdjson::error_message(error))}));
  return decode(kind, element, buffers_->names);
}

ManifestObject Decoder::manifest(std::string_view json, std::string_view list_kind) {
  ManifestObject result;
  const auto refuse = [&](std::string path, std::string text) {
    auto context = path.empty() ? text : fmt::format("{}: {}", path, text);
    result.object = tl::unexpected(Rejected{{}, std::move(path), Error{Errc::malformed, 0, std::move(context)}});
    return std::move(result);
  };
  simdjson::dom::element element;
  if (const auto error = buffers_->parser.parse(json.data(), json.size()).get(element); error != simdjson::SUCCESS)
    return refuse("", fmt::format("not valid JSON: {}", simdjson::error_message(error)));

  Reading reading;
  const JsonValue root(reading, element);
  const auto name_field = root.field("kind");
  const auto name = name_field.text();
  const auto version = root.field("apiVersion").text();
  if (name.empty()) name_field.refuse_type("the name of a kind");
  if (reading.refused() && (list_kind.empty() || name_field.present()))
    return refuse(reading.refusal().path, reading.refusal().text);
  for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
    const bool listed = name.empty() && list_kind == fmt::format("{}List", to_string(kind));
    if (!listed && (name != to_string(kind) || version != api_version(kind))) continue;
    result.kind = kind;
    result.object = decode(kind, element, buffers_->names, Origin::manifest);
    return result;
  }
  result.other = excerpt(fmt::format("{} {}", version, name));
  return result;
}

Result<WatchFrame> Decoder::watch_frame(Kind kind, std::string_view line) {
  simdjson::dom::element element;
  const auto error = buffers_->parser.parse(line.data(), line.size()).get(element);
  if (error != simdjson::SUCCESS)
    return fail(Errc::malformed, fmt::format("watch event: not valid JSON: {}", simdjson::error_message(error)));

  Reading reading;
  const JsonValue root(reading, element);
  const auto type = frame_type(root.field("type").text());
  const auto object = root.field("object");
  simdjson::dom::element object_element;
  if (!type || !object.present() || element["object"].get(object_element) != simdjson::SUCCESS)
    return fail(Errc::malformed, fmt::format("no watch event: {}", excerpt(line)));

  WatchFrame frame;
  frame.type = *type;
  if (*type == WatchFrame::Type::error) {
    frame.status_code = static_cast<int>(object.field("code").integer(0, 999).value_or(0));
    frame.status_message = status_line(object);
    return frame;
  }
  const auto metadata = object.field("metadata");
  frame.resource_version = metadata.field("resourceVersion").name();
  if (*type == WatchFrame::Type::bookmark) {
    const auto annotations = metadata.field("annotations");
    frame.initial_events_end = annotations.field("k8s.io/initial-events-end").text() == "true";
    return frame;
  }
  frame.object = decode(kind, object_element, buffers_->names);
  frame.key = *frame.object ? key_of((*frame.object)->object) : frame.object->error().key;
  return frame;
}

std::string Decoder::status_text(std::string_view json) {
  simdjson::dom::element element;
  if (buffers_->parser.parse(json.data(), json.size()).get(element) == simdjson::SUCCESS) {
    Reading reading;
    const JsonValue root(reading, element);
    const auto line = status_line(root);
    const auto code = root.field("code").integer(0, 999);
    if (root.field("kind").text() == "Status" && !line.empty() && !reading.refused())
      return code ? fmt::format("{} ({})", line, *code) : line;
  }
  return excerpt(json);
}

}  // namespace ipvsd
