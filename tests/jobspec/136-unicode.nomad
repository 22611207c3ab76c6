job "ünï-码" {
  datacenters = ["мск", "東京"]
  meta = {
    "ключ"   = "значение"
    "e\u0301" = "composed key"
    value    = "e\u0301 a\u0308"
    emoji    = "🚀 \U0001F1F5\U0001F1F9"
    zero     = "a\u200bb"
    control  = "\u0001\u007f"
    hangul   = "\u1112\u1161\u11ab"
  }
  group "größe" {
    task "t" {
      driver = "exec"
      env {
        ÄÖ   = "umlaut"
        名前 = "name"
      }
      config {
        ключ = ["é", "ß", "ﬁ", "Å"]
        len  = strlen("äöü")
        up   = upper("äöü ж")
      }
    }
  }
}
