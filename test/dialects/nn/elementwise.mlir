// Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// RUN: %partita-opt %s | %partita-opt | FileCheck %s
// RUN: %partita-opt %s -mlir-print-op-generic | %partita-opt | FileCheck %s

// CHECK-LABEL: func.func @unary
func.func @unary(%a: tensor<2x3xf32>, %b: tensor<4xi1>) {
  // CHECK: nn.abs %{{.*}} : tensor<2x3xf32>
  %abs = nn.abs %a : tensor<2x3xf32>
  // CHECK: nn.neg %{{.*}} : tensor<2x3xf32>
  %neg = nn.neg %a : tensor<2x3xf32>
  // CHECK: nn.exp %{{.*}} : tensor<2x3xf32>
  %exp = nn.exp %a : tensor<2x3xf32>
  // CHECK: nn.log %{{.*}} : tensor<2x3xf32>
  %log = nn.log %a : tensor<2x3xf32>
  // CHECK: nn.sqrt %{{.*}} : tensor<2x3xf32>
  %sqrt = nn.sqrt %a : tensor<2x3xf32>
  // CHECK: nn.rsqrt %{{.*}} : tensor<2x3xf32>
  %rsqrt = nn.rsqrt %a : tensor<2x3xf32>
  // CHECK: nn.reciprocal %{{.*}} : tensor<2x3xf32>
  %reciprocal = nn.reciprocal %a : tensor<2x3xf32>
  // CHECK: nn.tanh %{{.*}} : tensor<2x3xf32>
  %tanh = nn.tanh %a : tensor<2x3xf32>
  // CHECK: nn.sin %{{.*}} : tensor<2x3xf32>
  %sin = nn.sin %a : tensor<2x3xf32>
  // CHECK: nn.cos %{{.*}} : tensor<2x3xf32>
  %cos = nn.cos %a : tensor<2x3xf32>
  // CHECK: nn.erf %{{.*}} : tensor<2x3xf32>
  %erf = nn.erf %a : tensor<2x3xf32>
  // CHECK: nn.sigmoid %{{.*}} : tensor<2x3xf32>
  %sigmoid = nn.sigmoid %a : tensor<2x3xf32>
  // CHECK: nn.relu %{{.*}} : tensor<2x3xf32>
  %relu = nn.relu %a : tensor<2x3xf32>
  // CHECK: nn.silu %{{.*}} : tensor<2x3xf32>
  %silu = nn.silu %a : tensor<2x3xf32>
  // CHECK: nn.floor %{{.*}} : tensor<2x3xf32>
  %floor = nn.floor %a : tensor<2x3xf32>
  // CHECK: nn.ceil %{{.*}} : tensor<2x3xf32>
  %ceil = nn.ceil %a : tensor<2x3xf32>
  // CHECK: nn.round %{{.*}} : tensor<2x3xf32>
  %round = nn.round %a : tensor<2x3xf32>
  // CHECK: nn.sign %{{.*}} : tensor<2x3xf32>
  %sign = nn.sign %a : tensor<2x3xf32>
  // CHECK: nn.not %{{.*}} : tensor<4xi1>
  %not = nn.not %b : tensor<4xi1>
  // CHECK: nn.gelu %{{.*}} : tensor<2x3xf32>
  %gelu = nn.gelu %a : tensor<2x3xf32>
  // CHECK: nn.gelu %{{.*}} {tanh} : tensor<2x3xf32>
  %fast = nn.gelu %a {tanh} : tensor<2x3xf32>
  // CHECK: nn.neg %{{.*}} {nn.id = "layer.0/Neg", nn.nodes = ["Neg_3", "Neg_4"]} : tensor<2x3xf32>
  %named = nn.neg %a {nn.id = "layer.0/Neg", nn.nodes = ["Neg_3", "Neg_4"]} : tensor<2x3xf32>
  return
}

// CHECK-LABEL: func.func @binary
func.func @binary(%a: tensor<2x3xf32>, %i: tensor<ui8>, %b: tensor<4xi1>) {
  // CHECK: nn.add %{{.*}}, %{{.*}} : tensor<2x3xf32>
  %add = nn.add %a, %a : tensor<2x3xf32>
  // CHECK: nn.sub %{{.*}}, %{{.*}} : tensor<2x3xf32>
  %sub = nn.sub %a, %a : tensor<2x3xf32>
  // CHECK: nn.mul %{{.*}}, %{{.*}} : tensor<2x3xf32>
  %mul = nn.mul %a, %a : tensor<2x3xf32>
  // CHECK: nn.div %{{.*}}, %{{.*}} : tensor<2x3xf32>
  %div = nn.div %a, %a : tensor<2x3xf32>
  // CHECK: nn.mod %{{.*}}, %{{.*}} : tensor<2x3xf32>
  %mod = nn.mod %a, %a : tensor<2x3xf32>
  // CHECK: nn.pow %{{.*}}, %{{.*}} : tensor<2x3xf32>
  %pow = nn.pow %a, %a : tensor<2x3xf32>
  // CHECK: nn.max %{{.*}}, %{{.*}} : tensor<2x3xf32>
  %max = nn.max %a, %a : tensor<2x3xf32>
  // CHECK: nn.min %{{.*}}, %{{.*}} : tensor<2x3xf32>
  %min = nn.min %a, %a : tensor<2x3xf32>
  // CHECK: nn.and %{{.*}}, %{{.*}} : tensor<4xi1>
  %and = nn.and %b, %b : tensor<4xi1>
  // CHECK: nn.or %{{.*}}, %{{.*}} : tensor<4xi1>
  %or = nn.or %b, %b : tensor<4xi1>
  // CHECK: nn.xor %{{.*}}, %{{.*}} : tensor<4xi1>
  %xor = nn.xor %b, %b : tensor<4xi1>
  // CHECK: nn.add %{{.*}}, %{{.*}} : tensor<ui8>
  %scalar = nn.add %i, %i : tensor<ui8>
  return
}

// CHECK-LABEL: func.func @others
func.func @others(%a: tensor<4xf32>, %c: tensor<4xi1>) {
  // CHECK: nn.compare "eq", %{{.*}}, %{{.*}} : tensor<4xf32>
  %eq = nn.compare "eq", %a, %a : tensor<4xf32>
  // CHECK: nn.compare "ne", %{{.*}}, %{{.*}} : tensor<4xf32>
  %ne = nn.compare "ne", %a, %a : tensor<4xf32>
  // CHECK: nn.compare "lt", %{{.*}}, %{{.*}} : tensor<4xf32>
  %lt = nn.compare "lt", %a, %a : tensor<4xf32>
  // CHECK: nn.compare "le", %{{.*}}, %{{.*}} : tensor<4xf32>
  %le = nn.compare "le", %a, %a : tensor<4xf32>
  // CHECK: nn.compare "gt", %{{.*}}, %{{.*}} : tensor<4xf32>
  %gt = nn.compare "gt", %a, %a : tensor<4xf32>
  // CHECK: nn.compare "ge", %{{.*}}, %{{.*}} : tensor<4xf32>
  %ge = nn.compare "ge", %a, %a : tensor<4xf32>
  // CHECK: nn.select %{{.*}}, %{{.*}}, %{{.*}} : tensor<4xi1>, tensor<4xf32>
  %select = nn.select %c, %a, %a : tensor<4xi1>, tensor<4xf32>
  // CHECK: nn.cast %{{.*}} : tensor<4xf32> to tensor<4xbf16>
  %cast = nn.cast %a : tensor<4xf32> to tensor<4xbf16>
  return
}
