// Unpadded base64url (RFC 4648 section 5), as continue tokens are written.
#pragma once

#include <string>
#include <string_view>

namespace ipvsd::fake {

[[nodiscard]] std::string base64url_encode(std::string_view bytes);
// Stops at the first character outside the alphabet.
[[nodiscard]] std::string base64url_decode(std::string_view text);

}  // namespace ipvsd::fake
