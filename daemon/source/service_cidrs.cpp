#include "daemon/source/service_cidrs.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include "daemon/source/json_value.hpp"

namespace ipvsd {
namespace {

constexpr std::string_view path = "/apis/networking.k8s.io/v1/servicecidrs";
constexpr std::chrono::seconds silence{10};
// A cluster has one or two, and a few more when it was extended.
constexpr std::size_t answer_limit = 4U << 20;

Error refused(const ApiAnswer& answer) {
  const auto said = fmt::format("list ServiceCIDRs: status {}", answer.status);
  switch (answer.status) {
    case 404: return {Errc::unsupported, 0, said + ": the API server has none (networking.k8s.io/v1, Kubernetes 1.33)"};
    case 401:
    case 403: return {Errc::denied, 0, said + ": let this ServiceAccount list servicecidrs.networking.k8s.io"};
    default: return {Errc::busy, 0, said};
  }
}

}  // namespace

Result<std::vector<Cidr>> decode_service_cidrs(std::string_view json) {
  simdjson::dom::parser parser;
  const simdjson::padded_string padded(json);
  simdjson::dom::element root;
  if (const auto error = parser.parse(padded).get(root); error != simdjson::SUCCESS)
    return fail(Errc::malformed, fmt::format("ServiceCIDRs: {}", simdjson::error_message(error)));
  Reading reading;
  std::vector<Cidr> cidrs;
  if (!root.is_object()) return fail(Errc::malformed, "ServiceCIDRs: no list");
  const JsonValue list(reading, root);
  const auto items = list.field("items");
  items.each([&](const JsonValue& item) {
    const auto spec = item.field("spec");
    const auto texts = spec.field("cidrs");
    texts.each([&](const JsonValue& text) {
      const auto cidr = Cidr::parse(text.text());
      if (cidr)
        cidrs.push_back(*cidr);
      else
        text.refuse_type("a CIDR");
    });
  });
  if (reading.refused())
    return fail(Errc::malformed, fmt::format("ServiceCIDRs: {}: {}", reading.refusal().path, reading.refusal().text));
  return cidrs;
}

Result<std::vector<Cidr>> read_service_cidrs(const ApiAccess& access) {
  ApiConnection connection(access);
  return read_service_cidrs(connection);
}

Result<std::vector<Cidr>> read_service_cidrs(ApiConnection& connection) {
  std::string body;
  const auto answer = connection.get(std::string(path), silence, [&](std::string_view piece) {
    body += piece.substr(0, answer_limit - std::min(answer_limit, body.size()));
    return body.size() < answer_limit;
  });
  if (body.size() >= answer_limit) return fail(Errc::malformed, "ServiceCIDRs: an answer of more than 4 MiB");
  if (!answer) return fail(answer.error().within("list ServiceCIDRs"));
  if (answer->status != 200) return fail(refused(*answer));
  return decode_service_cidrs(body);
}

}  // namespace ipvsd
