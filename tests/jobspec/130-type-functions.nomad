job "conv" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      config {
        number  = convert("5", number)
        strings = convert([1, true], list(string))
        set     = convert(["b", "a", "b"], set(string))
        map     = convert({ a = 1 }, map(string))
        object  = convert({ a = "1", b = 2 }, object({ a = number }))
        tuple   = convert(["1", 2], tuple([number, string]))
        any     = convert([1, "x"], list(any))
        try     = [try({ a = 1 }.b, "none"), try([1][0], 2), try(local.nope, null, 3)]
        can     = [can([1][5]), can("5" + 1), can("x" + 1)]
        bools   = [convert("true", bool), convert("0", bool)]
        nothing = convert(null, string)
      }
    }
  }
}
