/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The codes of gateway 7.3: names for metrics and definitions, Chinese texts. */
#include "http/http-private.h"

static const struct {
  gint code;
  const char *name;
  const char *chinese;
} ERRORS[] = {
    {40000, "MALFORMED_REQUEST", "请求格式错误"},
    {40001, "ORDER_IS_CHARGING", "订单正在充电，请先停止"},
    {40002, "ORDER_NOT_CANCELLABLE", "订单不能取消"},
    {40003, "ORDER_NOT_STOPPABLE", "订单不能停止"},
    {40010, "INVALID_PARAMETER", "参数错误"},
    {40011, "SOCKET_UID_MISMATCH", "插座不属于该设备"},
    {40012, "UNSUPPORTED_BY_DEVICE", "设备不支持该命令"},
    {40101, "MISSING_API_KEY", "缺少 API 密钥"},
    {40102, "INVALID_API_KEY", "API 密钥无效"},
    {40301, "SIGNATURE_INVALID", "签名错误"},
    {40302, "ADDRESS_NOT_ALLOWED", "该地址不允许访问"},
    {40303, "SCOPE_DENIED", "没有权限"},
    {40304, "TIMESTAMP_OUT_OF_RANGE", "时间戳超出范围"},
    {40305, "NONCE_REUSED", "随机数重复使用"},
    {40306, "DEVICE_BLOCKED", "设备已被禁用"},
    {40400, "NO_SUCH_ROUTE", "没有该接口"},
    {40401, "DEVICE_NOT_FOUND", "设备不存在"},
    {40402, "PORT_NOT_FOUND", "端口不存在"},
    {40403, "ORDER_NOT_FOUND", "订单不存在"},
    {40404, "SOCKET_NOT_FOUND", "插座不存在"},
    {40405, "CARD_NOT_FOUND", "卡不存在"},
    {40406, "TASK_NOT_FOUND", "任务不存在"},
    {40407, "COMMAND_NOT_FOUND", "命令不存在"},
    {40408, "EVENT_NOT_FOUND", "事件不存在"},
    {40409, "STATION_OFFLINE", "充电桩离线"},
    {40500, "METHOD_NOT_ALLOWED", "不支持该方法"},
    {40901, "PORT_OCCUPIED", "端口被占用"},
    {40902, "ORDER_FINISHED", "订单已结束"},
    {40903, "PORT_STATE_INCONSISTENT", "端口状态不一致"},
    {40904, "ORDER_NO_CONFLICT", "订单号冲突"},
    {40906, "ORDER_STATE_CHANGED", "订单状态已改变，请重试"},
    {40907, "REQUEST_IN_PROGRESS", "相同请求正在处理"},
    {40908, "OTA_IN_PROGRESS", "正在升级"},
    {40909, "PORT_RESERVED", "端口已被预约"},
    {40910, "COMMAND_REJECTED", "设备拒绝命令"},
    {40911, "NOT_ACCEPTED", "充电桩尚未注册"},
    {41300, "PAYLOAD_TOO_LARGE", "请求体过大"},
    {41500, "UNSUPPORTED_MEDIA_TYPE", "不支持的内容类型"},
    {42201, "IDEMPOTENCY_KEY_REUSED", "幂等键用于不同请求"},
    {42901, "QUEUE_OVERLOADED", "命令队列过载"},
    {42902, "RATE_LIMITED", "请求过于频繁"},
    {50001, "INTERNAL", "内部错误"},
    {50101, "NOT_SUPPORTED", "不支持"},
    {50201, "CALL_ERROR", "设备返回错误"},
    {50202, "INVALID_RESPONSE", "设备响应无效"},
    {50301, "DEVICE_OFFLINE", "设备离线"},
    {50302, "DEVICE_HEARTBEAT_TIMEOUT", "设备心跳超时"},
    {50303, "DEVICE_FAULT", "设备故障"},
    {50304, "PORT_FAULT", "端口故障"},
    {50305, "STORE_UNAVAILABLE", "存储不可用"},
    {50306, "STARTING_OR_DRAINING", "服务正在启动或停止"},
    {50307, "OVERLOADED", "服务过载"},
    {50401, "COMMAND_TIMEOUT", "命令超时"},
    {50402, "CONNECTION_LOST", "等待时连接断开"},
};

static gint find (gint code)
{
  for (guint i = 0; i < G_N_ELEMENTS (ERRORS); i++)
    if (ERRORS[i].code == code)
      return (gint) i;
  return -1;
}

const char *ch_http_error_name (gint code)
{
  gint at = find (code);
  return at >= 0 ? ERRORS[at].name : "OTHER";
}

const char *ch_http_error_chinese (gint code)
{
  gint at = find (code);
  return at >= 0 ? ERRORS[at].chinese : NULL;
}

json_t *ch_http_error_list (void)
{
  json_t *list = json_array ();
  for (guint i = 0; i < G_N_ELEMENTS (ERRORS); i++) {
    json_t *item = json_object ();
    json_object_set_new (item, "code", json_integer (ERRORS[i].code));
    json_object_set_new (item, "name", json_string (ERRORS[i].name));
    json_array_append_new (list, item);
  }
  return list;
}
