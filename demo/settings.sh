# Read by the scripts of the demo, and changed by two variables of the environment:
#   MYELIN_DEMO_PORTS  where clients find the servers ("8080 8081 8082"); with other servers each speaks 400 above, with TLS
#   MYELIN_DEMO_DIR    a directory for what they keep (demo/): configuration, keys, databases, logs
ports=${MYELIN_DEMO_PORTS:-8080 8081 8082}
dir=${MYELIN_DEMO_DIR:-$root/demo}
case $dir in
  /*) ;;
  *) dir=$root/$dir ;;
esac
