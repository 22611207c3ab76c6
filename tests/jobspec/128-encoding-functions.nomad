job "enc" {
  datacenters = ["dc1"]
  meta {
    b64    = base64encode("hällo")
    unb64  = base64decode("aMOkbGxv")
    url    = urlencode("a b/c?d=é&f~g")
    md5    = md5("x")
    sha1   = sha1("x")
    sha256 = sha256("x")
    json   = jsonencode({ b = [1, 2.5, true, null, "x<y>"], a = { z = {}, y = [] } })
    back   = jsondecode("{\"k\": [1, {\"x\": \"y\"}]}").k[1].x
    csv    = csvdecode("h1,h2\n1,\"a,b\"\n")[0].h2
    uuid   = uuidv5("dns", "example.com")
    yaml   = yamlencode({ list = [1, "two", { three = 3 }], text = "a\nb\n", empty = {}, no = [], yes = "yes", n = null })
    quoted = yamlencode({ a = "x: y", b = "#c", "k k" = "\t\"" })
  }
  group "g" {
    task "t" {
      driver = "exec"
      config {
        decoded = jsondecode("{\"a\":1.50,\"b\":[true,null],\"c\":{\"d\":\"\\u00e9\"}}")
        scalars = [jsondecode("5"), jsondecode("\"s\""), jsondecode("[]"), jsondecode("null")]
        rows    = csvdecode("a,b\n1,2\n3,4")
        yaml    = yamldecode("a: 1\nb: [x, 2.5, true, ~]\nc:\n  d: 'q'\n  e: |\n    text\nf: &r {g: 1}\nh: *r\n")
        words   = yamldecode("[yes, No, on, 0x1f, 1_000, 1e3, '1', .5, 2021-06-01, null]")
      }
    }
  }
}
