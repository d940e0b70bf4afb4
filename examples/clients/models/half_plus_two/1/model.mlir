module @half_plus_two {
  func.func public @main(%arg0: tensor<4x1xf32>) -> tensor<4x1xf32> {
    %0 = stablehlo.constant dense<5.000000e-01> : tensor<4x1xf32>
    %1 = stablehlo.constant dense<2.000000e+00> : tensor<4x1xf32>
    %2 = stablehlo.multiply %arg0, %0 : tensor<4x1xf32>
    %3 = stablehlo.add %2, %1 : tensor<4x1xf32>
    return %3 : tensor<4x1xf32>
  }
}
