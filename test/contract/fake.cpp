#include "test/contract/subject.hpp"
#include "test/fake/fake_kernel.hpp"

namespace ipvsd::test {

std::unique_ptr<Kernel> make_kernel() {
  auto kernel = std::make_unique<FakeKernel>();
  (void)kernel->prepare();
  return kernel;
}

}  // namespace ipvsd::test
