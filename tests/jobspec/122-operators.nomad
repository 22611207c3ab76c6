job "op" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      config {
        precedence = 1 + 2 * 3 - 4 / 2 % 3
        parens     = ((1 + 2) * (3 - 4))
        unary      = [-5, - 5, -(-5), !true, !!true, -"7"]
        compare    = [1 < 2, 2 <= 2, 3 > 4, 4 >= 5, 1 == 1.0, 1 != "1"]
        logic      = true && false || true && !false
        strings    = ["a" == "a", "a" != "b", "5" + 1, "2" * "3", "10" > 9]
        division   = [7 / 2, 1 / 4, 10 % 3, -7 % 3, 5.5 % 2]
        fractions  = [0.1 + 0.2, 1.1 * 3, 1 - 0.9, 0.1 * 3]
        exponents  = [1e3, 1.5e-3, 2E2, 1e+2, 12e0]
        large      = [9007199254740993, 9223372036854775807, 1e18]
        collections = [[1] == [1], { a = 1 } == { a = 1 }, [1, "a"] == [1, "b"], [] == []]
        nulls      = [null == null, null != 1, [null] == [null]]
        mixed      = [true == "true", 1 == true]
        lines = (
          1
          + 2
          * 3
        )
        across = [
          1 +
          1,
          2
        ]
      }
    }
  }
}
