#include "ctl/json_writer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ipvsd::ctl {

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f && c != '"' && c != '\\';
  });
  if (plain)
    (out_ += '"').append(text) += '"';
  else
    out_ += nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return *this;
}

}  // namespace ipvsd::ctl
