// TLS towards the API server: who is trusted, under which name, and who we say we are. Everything is left to
// OpenSSL's own verification, because cpp-httplib 0.11 would add the system's CAs to ours and fall back to
// common names.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "daemon/config/kubeconfig.hpp"

namespace ipvsd {

// Sets a client context up from `access`. Reads the PEM files anew, so that a context made for each
// connection follows their rotation. Once a handshake failed on the server's certificate, `verify_error` says
// why; it must outlive the context. Errors: not_found, denied (a file); malformed (no such PEM object in it,
// or the key does not fit).
[[nodiscard]] Result<void> configure_tls(SSL_CTX* context, const ApiAccess& access, std::string* verify_error);

// The file's bytes or the inline text. Errors: not_found, denied; malformed if longer than 1 MiB.
[[nodiscard]] Result<std::string> read_pem(const PemSource& source);

}  // namespace ipvsd
