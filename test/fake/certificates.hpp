// A certificate authority made on the spot, for tests of TLS.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace ipvsd::fake {

struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;
};

// Throws std::runtime_error where OpenSSL fails.
class CertificateAuthority {
 public:
  explicit CertificateAuthority(const std::string& common_name = "stand-in CA");

  [[nodiscard]] std::string pem() const;
  // `alternative_names` as OpenSSL writes them: "DNS:localhost", "IP:127.0.0.1". Valid for so long (a time
  // that is past if negative), for both sides.
  [[nodiscard]] KeyPair issue(const std::string& common_name, const std::vector<std::string>& alternative_names,
                              std::chrono::seconds valid_for = std::chrono::hours(365 * 24));

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;
  [[nodiscard]] static Key make_key();
  [[nodiscard]] Certificate make(const std::string& common_name, EVP_PKEY* key, bool authority,
                                 const std::vector<std::string>& alternative_names, std::chrono::seconds valid_for);

  Key key_;
  Certificate certificate_;
  long serial_ = 0;
};

}  // namespace ipvsd::fake
