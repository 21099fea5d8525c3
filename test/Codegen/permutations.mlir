// RUN: %partita-opt --split-input-file --verify-diagnostics %s

func.func @count(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  // expected-error @+1 {{needs one permutation a result}}
  %0 = rt.call "copy"(%x) {permutations = []} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}

// -----

func.func @rank(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  // expected-error @+1 {{has a permutation of the wrong rank}}
  %0 = rt.call "copy"(%x) {permutations = [array<i64: 0>]} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}

// -----

func.func @twice(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  // expected-error @+1 {{has a permutation that is none}}
  %0 = rt.call "copy"(%x) {permutations = [array<i64: 0, 0>]} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}

// -----

// What the region yields is the buffer transposed.
func.func @yield(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  // expected-error @+1 {{must yield its results}}
  %0 = rt.fusion(%x) : (tensor<2x3xf32>) -> tensor<3x2xf32> {
  ^bb0(%a: tensor<2x3xf32>):
    %1 = nn.exp %a : tensor<2x3xf32>
    rt.yield %1 : tensor<2x3xf32>
  }
  return %0 : tensor<3x2xf32>
}

// -----

func.func @good(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  %0 = rt.fusion(%x) {permutations = [array<i64: 1, 0>]} : (tensor<2x3xf32>) -> tensor<3x2xf32> {
  ^bb0(%a: tensor<2x3xf32>):
    %1 = nn.exp %a : tensor<2x3xf32>
    rt.yield %1 : tensor<2x3xf32>
  }
  return %0 : tensor<3x2xf32>
}
