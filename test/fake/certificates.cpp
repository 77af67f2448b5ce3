#include "test/fake/certificates.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdexcept>

namespace ipvsd::fake {
namespace {

void require(bool fine, const char* what) {
  if (!fine) throw std::runtime_error(std::string("OpenSSL: ") + what);
}

void extend(X509* certificate, X509* issuer, int extension, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, extension, value.c_str());
  require(made != nullptr, "extension");
  X509_add_ext(certificate, made, -1);
  X509_EXTENSION_free(made);
}

template <class Write>
std::string to_pem(const Write& write) {
  BIO* bio = BIO_new(BIO_s_mem());
  require(bio != nullptr && write(bio) == 1, "PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  std::string pem(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return pem;
}

}  // namespace

CertificateAuthority::Key CertificateAuthority::make_key() {
  Key key(EVP_EC_gen("P-256"));
  require(key != nullptr, "key");
  return key;
}

CertificateAuthority::Certificate CertificateAuthority::make(const std::string& common_name, EVP_PKEY* key,
                                                             bool authority,
                                                             const std::vector<std::string>& alternative_names,
                                                             std::chrono::seconds valid_for) {
  Certificate certificate(X509_new());
  require(certificate != nullptr, "certificate");
  X509* made = certificate.get();
  X509* issuer = authority ? made : certificate_.get();
  X509_set_version(made, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial_);
  X509_gmtime_adj(X509_getm_notBefore(made), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made), static_cast<long>(valid_for.count()));
  X509_set_pubkey(made, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1, 0);
  X509_set_issuer_name(made, X509_get_subject_name(issuer));
  extend(made, issuer, NID_basic_constraints, authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  extend(made, issuer, NID_subject_key_identifier, "hash");
  if (authority) extend(made, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
  if (!authority) extend(made, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  if (!alternative_names.empty())
    extend(made, issuer, NID_subject_alt_name, fmt::format("{}", fmt::join(alternative_names, ",")));
  require(X509_sign(made, key_.get(), EVP_sha256()) > 0, "signature");
  return certificate;
}

CertificateAuthority::CertificateAuthority(const std::string& common_name) : key_(make_key()) {
  certificate_ = make(common_name, key_.get(), true, {}, std::chrono::hours(365 * 24));
}

std::string CertificateAuthority::pem() const {
  return to_pem([this](BIO* bio) { return PEM_write_bio_X509(bio, certificate_.get()); });
}

KeyPair CertificateAuthority::issue(const std::string& common_name, const std::vector<std::string>& alternative_names,
                                    std::chrono::seconds valid_for) {
  const Key key = make_key();
  const Certificate certificate = make(common_name, key.get(), false, alternative_names, valid_for);
  return {to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.get()); }), to_pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace ipvsd::fake
