module {
  func.func @main(%a: tensor<2xi4>, %b: tensor<2xf8E4M3FN>, %c: tensor<2xcomplex<f64>>, %t: !stablehlo.token) -> (tensor<2xi4>, tensor<2xbf16>, tensor<2xf64>, !stablehlo.token) {
    %0 = stablehlo.shift_right_logical %a, %a : tensor<2xi4>
    %1 = stablehlo.convert %b : (tensor<2xf8E4M3FN>) -> tensor<2xbf16>
    %2 = stablehlo.abs %c : (tensor<2xcomplex<f64>>) -> tensor<2xf64>
    %3 = stablehlo.after_all %t, %t : !stablehlo.token
    %4 = stablehlo.constant dense<"0x0102"> : tensor<2xui8>
    %5 = stablehlo.constant dense<[(1.0,2.0), (0x7FF8000000000000,-0.5)]> : tensor<2xcomplex<f64>>
    return %0, %1, %2, %3 : tensor<2xi4>, tensor<2xbf16>, tensor<2xf64>, !stablehlo.token
  }
}
