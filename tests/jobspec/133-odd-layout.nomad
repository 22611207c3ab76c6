job    "layout"{
datacenters=["a","b",]
  meta{
a=1


		b   =   "x"
  }
group g-1 {
 task T_2 {
  driver = "exec"
  config { command = "c" }
  }
  }
	group "q r" {
		task "ünï" {
			driver	=	"exec"
			config {
				args = [ "a"
				, "b",

				"c" ,
				]
				obj = {
					a = 1, b = 2
					c : 3, "d": 4
					(upper("e")) = 5
					5 = 6, true = 7, null = 8, 1.5 = 9
				}
				empty = {
				}
				none = [
				]
				call = join(
					",",
					["x", "y"],
				)
			}
		}
	}
}
