variable "strings" {
  type    = list(string)
  default = ["c", "a", "b"]
}
variable "set" {
  type    = set(string)
  default = ["z", "m", "z"]
}
variable "map" {
  type    = map(number)
  default = { one = 1, two = 2 }
}
job "coll" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "exec"
      config {
        chunklist       = chunklist(["a", "b", "c"], 2)
        coalesce        = [coalesce(null, "", "x"), coalesce(null, 1, "b")]
        coalescelist    = coalescelist([], ["x"])
        compact         = compact(["a", "", "b", null])
        concat          = concat(["a"], [1], var.strings)
        concat_lists    = concat(var.strings, var.strings)
        contains        = [contains(["a"], "a"), contains([1], "1"), contains(var.set, "m")]
        distinct        = distinct(["a", "b", "a", 1, "1"])
        element         = [element(["a", "b"], 3), element(var.strings, 0)]
        flatten         = flatten([["a"], [], ["b", ["c", [1]]], var.strings])
        index           = [index(["a", "b"], 1), index(var.map, "two")]
        keys            = [keys({ b = 1, a = 2 }), keys(var.map)]
        values          = [values({ b = 1, a = "x" }), values(var.map)]
        length          = [length([1, 2]), length(var.map), length(var.set)]
        lookup          = [lookup({ a = 1 }, "a", 0), lookup({ a = 1 }, "b", "d"), lookup(var.map, "x", "7")]
        merge           = merge({ a = 1, b = 1 }, { b = "two" }, null, { c = [1] })
        merge_maps      = merge(var.map, var.map)
        range           = [range(3), range(1, 4), range(0, 10, 4), range(3, 0), range(1, 2, 0.5)]
        reverse         = reverse("abc")
        setintersection = setintersection(["a", "b"], ["b", "c"])
        setproduct      = setproduct(["a", "b"], [1, 2])
        setunion        = setunion(["b", "a"], ["c", "a"], [1])
        slice           = [slice(["a", "b", "c"], 1, 2), slice(var.strings, 0, 2)]
        sort            = sort(["b", "C", "a", "10", "9"])
        sort_numbers    = sort([10, 9, 1])
        sort_set        = sort(var.set)
        zipmap          = zipmap(["a", "b"], [1, "x"])
        zip_lists       = zipmap(var.strings, [1, 2, 3])
        spread          = max([1, 5, 3]...)
        set             = var.set
      }
    }
  }
}
